//! The checksum of a message between locations: its last nine bytes, a field like any other to whoever does not look.
//!
//! TCP's own sum of 16 bits lets about one in 65,536 damaged segments pass, and what is not encrypted has no other. A digest inside the
//! events would not cover what a frame claims of itself: its bounds, hashes and vectors.

use tidelog_model::mutant;

/// Field 15, `fixed64`.
const TAG: u8 = (15 << 3) | 1;
const SUM_BYTES: usize = 8;

/// The first eight bytes of BLAKE3.
fn sum(bytes: &[u8]) -> [u8; SUM_BYTES] {
    let mut sum = [0; SUM_BYTES];
    blake3::Hasher::new()
        .update(bytes)
        .finalize_xof()
        .fill(&mut sum);
    sum
}

/// Adds its checksum to an encoded message that has none.
pub(crate) fn seal(mut message: Vec<u8>) -> Vec<u8> {
    let sum = sum(&message);
    message.reserve_exact(1 + SUM_BYTES);
    message.push(TAG);
    message.extend(sum);
    message
}

/// True when an encoded message ends with its checksum.
pub(crate) fn is_whole(message: &[u8]) -> bool {
    match message.split_last_chunk::<SUM_BYTES>() {
        Some(([rest @ .., TAG], said)) => sum(rest) == *said || mutant!("checksum-not-compared"),
        _ => mutant!("unsealed-messages-taken"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::v1::{Credit, ReplicationMessage, replication_message::Message};

    fn credit(stream_id: u64, bytes: u64) -> ReplicationMessage {
        let credit = Credit {
            stream_id,
            bytes,
            ..Credit::default()
        };
        Message::Credit(credit).into()
    }

    proptest! {
        #[test]
        fn a_sealed_message_is_read_as_what_it_was(stream: u64, bytes: u64) {
            let sealed = seal(credit(stream, bytes).encode_to_vec());
            prop_assert!(is_whole(&sealed));
            let read = ReplicationMessage::decode(sealed.as_slice()).unwrap();
            prop_assert_eq!(read.message, credit(stream, bytes).message);
            prop_assert_eq!(read.checksum.to_le_bytes(), sum(&credit(stream, bytes).encode_to_vec()));
        }
    }

    #[test]
    fn no_flipped_bit_and_no_missing_byte_is_taken_for_whole() {
        let sealed = seal(credit(7, 1 << 20).encode_to_vec());
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_whole(&changed), "bit {bit}");
        }
        for end in 0..sealed.len() {
            assert!(!is_whole(&sealed[..end]), "{end} bytes");
        }
        assert!(!is_whole(&credit(7, 1 << 20).encode_to_vec()), "no seal");
    }
}
