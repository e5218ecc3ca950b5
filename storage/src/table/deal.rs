//! Files dealt out to partitions: about equal ones, in which a file that is added leaves most others where
//! they were, as those who read them remember what they came to.

use std::sync::Arc;

use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Statistics};
use datafusion::datasource::listing::{FileRange, PartitionedFile};
use xxhash_rust::xxh3::xxh3_64;

/// From so many files per partition on, they are dealt by name alone: one more moves no other.
const MANY_FILES: usize = 16;

/// The files of each partition, none of which is empty. Files that are large beside others are cut into ranges
/// if all of them together have so many bytes.
pub(crate) fn deal(
    files: Vec<PartitionedFile>,
    partitions: usize,
    min_bytes: u64,
) -> Vec<Vec<PartitionedFile>> {
    let total = bytes(&files);
    let share = total.div_ceil(partitions.max(1) as u64);
    let mut parts = match partitions > 1 && total >= min_bytes.max(1) {
        true => files.into_iter().flat_map(|file| cut(file, share)).collect(),
        false => files,
    };
    let count = partitions.clamp(1, parts.len().max(1));
    let mut groups: Vec<Vec<PartitionedFile>> = vec![Vec::new(); count];
    if parts.len() >= count.saturating_mul(MANY_FILES) {
        for part in parts {
            let place = hash(&part, None) % count as u64;
            if let Some(group) = usize::try_from(place)
                .ok()
                .and_then(|place| groups.get_mut(place))
            {
                group.push(part);
            }
        }
    } else {
        // The largest first: what comes late fills up.
        parts.sort_by_key(|part| (std::cmp::Reverse(part.effective_size()), hash(part, None)));
        let full = total.div_ceil(count as u64) * 9 / 8;
        for part in parts {
            let place = place(&part, &groups, full);
            if let Some(group) = groups.get_mut(place) {
                group.push(part);
            }
        }
    }
    groups.retain(|group| !group.is_empty());
    for group in &mut groups {
        group.sort_by(|a, b| (a.path(), start(a)).cmp(&(b.path(), start(b))));
    }
    groups
}

/// The partition that a part likes best of those that have room for it, or that which has least.
fn place(part: &PartitionedFile, groups: &[Vec<PartitionedFile>], full: u64) -> usize {
    let with_room = (0..groups.len()).filter(|place| bytes(&groups[*place]) + part.effective_size() <= full);
    with_room
        .max_by_key(|place| hash(part, Some(*place)))
        .or_else(|| (0..groups.len()).min_by_key(|place| bytes(&groups[*place])))
        .unwrap_or_default()
}

/// The file in equal ranges of at most half a share; whole if it is much smaller than one. A file is cut alike
/// for as long as the others do not grow much.
fn cut(file: PartitionedFile, share: u64) -> Vec<PartitionedFile> {
    let size = file.object_meta.size;
    let pieces = (2 * size).div_ceil(share.max(1));
    if 3 * size <= share || pieces < 2 || file.range.is_some() {
        return vec![file];
    }
    let bound = |piece: u64| i64::try_from(u128::from(size) * u128::from(piece) / u128::from(pieces));
    (0..pieces)
        .filter_map(|piece| {
            let (Ok(start), Ok(end)) = (bound(piece), bound(piece + 1)) else {
                return None;
            };
            let mut range = file.clone();
            range.range = Some(FileRange { start, end });
            range.statistics = file
                .statistics
                .as_deref()
                .map(|whole| Arc::new(statistics_of_range(whole, pieces)));
            Some(range)
        })
        .collect()
}

/// What is known of one of `pieces` ranges of a file. Which rows a range holds depends on where row groups
/// begin, so that no count is exact. The bounds of the file bound each of its ranges.
fn statistics_of_range(whole: &Statistics, pieces: u64) -> Statistics {
    let rows = share_of(whole.num_rows, pieces);
    let columns = whole.column_statistics.iter();
    Statistics {
        num_rows: rows,
        total_byte_size: share_of(whole.total_byte_size, pieces),
        column_statistics: columns
            .map(|column| ColumnStatistics {
                // Pruning compares it with the number of rows: it is all of them, none, or not known.
                null_count: match column.null_count.get_value() {
                    Some(0) => column.null_count.to_inexact(),
                    Some(nulls) if whole.num_rows.get_value() == Some(nulls) => rows,
                    Some(_) | None => Precision::Absent,
                },
                min_value: column.min_value.clone().to_inexact(),
                max_value: column.max_value.clone().to_inexact(),
                ..ColumnStatistics::new_unknown()
            })
            .collect(),
    }
}

fn share_of(total: Precision<usize>, pieces: u64) -> Precision<usize> {
    let pieces = usize::try_from(pieces).unwrap_or(usize::MAX).max(1);
    total.get_value().map_or(Precision::Absent, |total| {
        Precision::Inexact(total.div_ceil(pieces))
    })
}

fn start(part: &PartitionedFile) -> i64 {
    part.range.as_ref().map_or(0, |range| range.start)
}

fn bytes(parts: &[PartitionedFile]) -> u64 {
    parts.iter().map(PartitionedFile::effective_size).sum()
}

fn hash(part: &PartitionedFile, place: Option<usize>) -> u64 {
    xxh3_64(format!("{} {} {place:?}", part.path(), start(part)).as_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn files(sizes: &[u64]) -> Vec<PartitionedFile> {
        let numbered = sizes.iter().enumerate();
        numbered
            .map(|(number, size)| PartitionedFile::new(format!("part-{number}.parquet"), *size))
            .collect()
    }

    fn loads(groups: &[Vec<PartitionedFile>]) -> Vec<u64> {
        groups.iter().map(|group| bytes(group)).collect()
    }

    /// By path and start, the partition.
    fn places(groups: &[Vec<PartitionedFile>]) -> BTreeMap<(String, i64, u64), usize> {
        let numbered = groups.iter().enumerate();
        numbered
            .flat_map(|(place, group)| group.iter().map(move |part| (place, part)))
            .map(|(place, part)| {
                (
                    (part.path().to_string(), start(part), part.effective_size()),
                    place,
                )
            })
            .collect()
    }

    #[test]
    fn partitions_are_about_equal() {
        for (sizes, partitions) in [
            (vec![1_000_000], 2),
            (vec![1_000_000; 3], 2),
            (vec![1_000_000; 2], 3),
            (vec![1_000_000; 5], 4),
            (vec![3_000_000, 500_000, 400_000, 10], 4),
            (vec![100_000; 400], 4),
        ] {
            let groups = deal(files(&sizes), partitions, 1);
            let loads = loads(&groups);
            let share = sizes.iter().sum::<u64>() / partitions as u64;
            assert_eq!(loads.len(), partitions, "{sizes:?}");
            assert_eq!(loads.iter().sum::<u64>(), sizes.iter().sum::<u64>());
            assert!(
                loads.iter().all(|load| *load <= share * 5 / 4),
                "{sizes:?}: {loads:?}"
            );
        }
    }

    #[test]
    fn ranges_are_the_whole_file() {
        let groups = deal(files(&[1_000_003]), 4, 1);
        let mut ranges: Vec<_> = groups
            .iter()
            .flatten()
            .map(|part| part.range.clone().unwrap())
            .map(|range| (range.start, range.end))
            .collect();
        ranges.sort_unstable();
        assert_eq!((ranges[0].0, ranges[ranges.len() - 1].1), (0, 1_000_003));
        assert!(ranges.windows(2).all(|pair| pair[0].1 == pair[1].0));
    }

    #[test]
    fn a_range_claims_no_count_of_its_file() {
        let column = |nulls, min: i64, max: i64| ColumnStatistics {
            null_count: Precision::Exact(nulls),
            min_value: Precision::Exact(min.into()),
            max_value: Precision::Exact(max.into()),
            ..ColumnStatistics::new_unknown()
        };
        let whole = Statistics {
            num_rows: Precision::Exact(100),
            total_byte_size: Precision::Exact(1_000_000),
            column_statistics: vec![column(0, 1, 9), column(100, 0, 0), column(40, 2, 3)],
        };
        let mut file = files(&[1_000_000]).remove(0);
        file.statistics = Some(Arc::new(whole));
        let groups = deal(vec![file], 2, 1);
        let parts: Vec<_> = groups.iter().flatten().collect();
        assert_eq!(parts.len(), 4);
        for part in parts {
            let known = part.statistics.as_deref().unwrap();
            assert_eq!(known.num_rows, Precision::Inexact(25));
            assert_eq!(known.total_byte_size, Precision::Inexact(250_000));
            let nulls: Vec<_> = known
                .column_statistics
                .iter()
                .map(|column| column.null_count)
                .collect();
            let expected = [Precision::Inexact(0), Precision::Inexact(25), Precision::Absent];
            assert_eq!(nulls, expected);
            assert_eq!(
                known.column_statistics[0].min_value,
                Precision::Inexact(1_i64.into())
            );
        }
    }

    #[test]
    fn small_files_stay_whole() {
        let groups = deal(files(&[1_000, 2_000, 3_000]), 4, 1 << 20);
        assert_eq!(groups.len(), 3);
        assert!(groups.iter().flatten().all(|part| part.range.is_none()));
    }

    #[test]
    fn one_more_leaves_most_where_they_were() {
        for (count, partitions) in [(200, 4), (40, 4), (20, 4), (12, 2)] {
            let mut sizes = vec![1_000_000; count];
            let before = places(&deal(files(&sizes), partitions, 1));
            sizes.push(900_000);
            let after = places(&deal(files(&sizes), partitions, 1));
            let kept = before
                .iter()
                .filter(|(part, place)| after.get(*part) == Some(*place));
            assert!(kept.count() * 4 >= before.len() * 3, "{count} in {partitions}");
        }
    }
}
