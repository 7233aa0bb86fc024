//! Each machine by itself, over the memory store where it needs one.

#[cfg(test)]
mod apply;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod late;
#[cfg(test)]
mod log;
#[cfg(test)]
mod recorder;
#[cfg(test)]
mod source;
#[cfg(test)]
mod source_frames;
#[cfg(test)]
mod source_handshake;
#[cfg(test)]
mod target;
#[cfg(test)]
mod writer;
#[cfg(test)]
mod writer_ahead;
#[cfg(test)]
mod writer_outcomes;
