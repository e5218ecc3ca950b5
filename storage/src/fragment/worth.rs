//! Which states are worth keeping.

/// A state larger than this part of its file saves little.
const MIN_REDUCTION: usize = 8;
/// A state this small is always worth it.
const SMALL_STATE: usize = 16 << 10;
/// So few groups are merged sooner than any file is opened, wide as their sketches may be.
const FEW_GROUPS: usize = 32;
/// The largest state of few groups that is worth it, however small its file.
const FEW_GROUPS_STATE: usize = 1 << 20;
/// No state is larger than this.
const MAX_STATE: usize = 4 << 20;

/// Whether to keep a state of so many rows and bytes over a part of a file.
pub(super) fn is_worth_it(rows: usize, bytes: usize, file_bytes: usize) -> bool {
    let small = match rows <= FEW_GROUPS {
        true => FEW_GROUPS_STATE,
        false => SMALL_STATE,
    };
    bytes <= (file_bytes / MIN_REDUCTION).clamp(small, MAX_STATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_much_smaller_than_files_and_those_of_few_groups_are_kept() {
        // Groups by numbers: 40 bytes each.
        assert!(is_worth_it(100, 4_000, 2_000));
        assert!(is_worth_it(10_000, 400_000, 4_000_000));
        assert!(!is_worth_it(10_000, 400_000, 1_000_000));
        assert!(!is_worth_it(1_000_000, 40_000_000, 4_000_000_000));
        // Sketches: 16 KiB each.
        assert!(is_worth_it(1, 17_000, 500));
        assert!(is_worth_it(30, 30 * 17_000, 20_000));
        assert!(!is_worth_it(60, 60 * 17_000, 20_000));
    }
}
