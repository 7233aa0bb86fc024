//! When a certificate should have been replaced. One rule for the condition of the operator, the warning of the status and the metric behind the alert.

/// Of a long life nobody is warned earlier than this.
const LATE_SECONDS_MAX: i64 = 7 * 86_400;

/// From when on a certificate is late, seconds since the Unix epoch: a week before its end, or a sixth of its life where that is less. It is to be replaced
/// when a third is left, so whoever does that has had the half of this third for it.
pub fn late_from(not_before: i64, not_after: i64) -> i64 {
    let sixth = not_after.saturating_sub(not_before).max(0) / 6;
    not_after.saturating_sub(sixth.min(LATE_SECONDS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_life_is_late_a_week_before_its_end_and_a_short_one_with_a_sixth_left() {
        let (hour, day) = (3_600, 86_400);
        for (life, left) in [
            (90 * day, 7 * day),
            (42 * day, 7 * day),
            (30 * day, 5 * day),
            (24 * hour, 4 * hour),
            (hour, 600),
            (0, 0),
        ] {
            let end = 1_800_000_000;
            assert_eq!(end - late_from(end - life, end), left, "{life}");
            // Whoever replaces it when a third is left is never told of.
            assert!(life == 0 || left < life / 3, "{life}");
        }
        assert_eq!(late_from(i64::MIN, i64::MAX), i64::MAX - LATE_SECONDS_MAX);
        assert_eq!(late_from(100, 0), 0);
    }
}
