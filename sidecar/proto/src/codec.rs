//! How messages become bytes: protobuf, with buffers of the size of one small event.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::{ProstDecoder, ProstEncoder};

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
    type Encoder = ProstEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(settings())
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(settings())
    }
}
