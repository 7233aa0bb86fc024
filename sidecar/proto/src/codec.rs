//! How messages become bytes: protobuf, with buffers of the size of one small event; what locations say to each other is sealed.

use std::any::TypeId;
use std::marker::PhantomData;

use bytes::{Buf as _, BufMut as _};
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::seal;
use crate::v1::ReplicationMessage;

/// What a call allocates for each direction before it knows the size of its messages; it grows in such steps. A request with one event of a
/// few hundred bytes fits. A payload is kept where it was received, with the whole buffer around it, so a larger one would be paid for by
/// each event that waits in memory.
const BUFFER_BYTES: usize = 1024;
/// Answers of a stream that are ready together are sent together, up to so many bytes.
const YIELD_BYTES: usize = 32 * 1024;

fn settings() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
}

/// The codec of all services of `tidelog.v1`.
pub struct EventCodec<T, U> {
    messages: PhantomData<(T, U)>,
}

impl<T, U> Default for EventCodec<T, U> {
    fn default() -> Self {
        Self {
            messages: PhantomData,
        }
    }
}

impl<T, U> Codec for EventCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Writing<T>;
    type Decoder = Reading<U>;

    fn encoder(&mut self) -> Self::Encoder {
        Writing(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        Reading(PhantomData)
    }
}

/// Applications are on the same machine; between locations lie devices that change bytes, and what is changed there would be stored.
fn is_sealed<T: 'static>() -> bool {
    TypeId::of::<T>() == TypeId::of::<ReplicationMessage>()
}

/// Messages to bytes.
pub struct Writing<T>(PhantomData<T>);

impl<T: Message + 'static> Encoder for Writing<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let full = |e: prost::EncodeError| Status::internal(e.to_string());
        if is_sealed::<T>() {
            // What is in `buf` cannot be read again, and the seal is made of it.
            buf.put_slice(&seal::seal(item.encode_to_vec()));
            return Ok(());
        }
        item.encode(buf).map_err(full)
    }

    fn buffer_settings(&self) -> BufferSettings {
        settings()
    }
}

/// Bytes to messages.
pub struct Reading<U>(PhantomData<U>);

impl<U: Message + Default + 'static> Decoder for Reading<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let bytes = buf.copy_to_bytes(buf.remaining());
        if is_sealed::<U>() && !seal::is_whole(&bytes) {
            return Err(Status::data_loss(
                "a message was changed on its way, or is of a program that does not seal what it sends (checksum)",
            ));
        }
        let message = U::decode(bytes).map_err(|e| Status::internal(e.to_string()))?;
        Ok(Some(message))
    }

    fn buffer_settings(&self) -> BufferSettings {
        settings()
    }
}
