//! Frames of RANGE whose ends are columns: what is so many days or months before each row's key, in the zone of the
//! session. DataFusion counts them in the zone of the key's type, which is UTC, and takes a time that the clock of
//! another zone skips for an end that there is not.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, internal_err};

/// Where a frame begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Edge {
    /// The edge of the partition.
    Partition,
    /// The first or last peer of the current row.
    Peers,
    /// A column says what the key may be.
    Column,
}

/// How a frame is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    pub(super) start: Edge,
    pub(super) end: Edge,
    pub(super) descending: bool,
}

impl Ends {
    const EDGES: [Edge; 3] = [Edge::Partition, Edge::Peers, Edge::Column];

    pub(super) fn all() -> impl Iterator<Item = Self> {
        Self::EDGES.into_iter().flat_map(|start| {
            Self::EDGES.into_iter().flat_map(move |end| {
                [false, true].into_iter().map(move |descending| Self {
                    start,
                    end,
                    descending,
                })
            })
        })
    }

    pub(super) fn name(self) -> String {
        let order = if self.descending { "desc" } else { "asc" };
        let edge = |edge| match edge {
            Edge::Partition => "partition",
            Edge::Peers => "peers",
            Edge::Column => "column",
        };
        format!("{} to {} {order}", edge(self.start), edge(self.end))
    }

    /// The columns of ends among the arguments of a call.
    pub(super) fn columns(self) -> usize {
        [self.start, self.end]
            .iter()
            .filter(|edge| **edge == Edge::Column)
            .count()
    }
}

/// The rows of one partition, for finding frames.
#[derive(Debug)]
pub(super) struct Partition {
    /// The keys that are not NULL, such that they ascend.
    keys: Vec<i64>,
    /// The rows of these keys.
    known: Range<usize>,
    rows: usize,
}

impl Partition {
    pub(super) fn new(key: &ArrayRef, ends: Ends) -> Result<Self> {
        let column = cast(key, &DataType::Int64)?;
        let values = column.as_primitive::<Int64Type>();
        let first = (0..values.len()).find(|row| values.is_valid(*row));
        let start = first.unwrap_or(values.len());
        let end = start
            + (start..values.len())
                .take_while(|row| values.is_valid(*row))
                .count();
        Ok(Self {
            keys: (start..end)
                .map(|row| ascending(values.value(row), ends))
                .collect(),
            known: start..end,
            rows: values.len(),
        })
    }

    /// The frame of a row. The columns of ends are those that there are, in order.
    pub(super) fn frame(&self, row: usize, ends: Ends, columns: &[ArrayRef]) -> Result<Range<usize>> {
        if columns.len() != ends.columns() {
            return internal_err!("a frame has {} columns of ends", columns.len());
        }
        let (before, after) = (0..self.known.start, self.known.end..self.rows);
        let mut columns = columns.iter();
        let mut value = |edge| -> Result<Option<i64>> {
            let column = match edge {
                Edge::Column => columns.next(),
                _ => None,
            };
            let Some(column) = column else { return Ok(None) };
            let value = cast(&column.slice(row, 1), &DataType::Int64)?;
            let value = value.as_primitive::<Int64Type>();
            Ok(value.is_valid(0).then(|| ascending(value.value(0), ends)))
        };
        let (start, end) = (value(ends.start)?, value(ends.end)?);
        // NULLs are peers of each other, and no distance leads from them or to them.
        let peers = match [before, after].into_iter().find(|nulls| nulls.contains(&row)) {
            Some(nulls) => nulls,
            None => {
                let key = self.keys[row - self.known.start];
                self.first(key)..self.behind(key)
            }
        };
        let start = match (ends.start, start) {
            (Edge::Partition, _) => 0,
            (Edge::Column, Some(value)) => self.first(value),
            _ => peers.start,
        };
        let end = match (ends.end, end) {
            (Edge::Partition, _) => self.rows,
            (Edge::Column, Some(value)) => self.behind(value),
            _ => peers.end,
        };
        Ok(start..end.max(start))
    }

    /// The first row whose key is not less.
    fn first(&self, value: i64) -> usize {
        self.known.start + self.keys.partition_point(|key| *key < value)
    }

    /// The first row whose key is greater.
    fn behind(&self, value: i64) -> usize {
        self.known.start + self.keys.partition_point(|key| *key <= value)
    }
}

/// Turned around bit by bit, as the least number has no negative.
fn ascending(value: i64, ends: Ends) -> i64 {
    match ends.descending {
        true => !value,
        false => value,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;

    use super::*;

    #[test]
    fn frames_are_found_among_keys() {
        let frames = |keys: &[Option<i64>], distance: i64, descending: bool| -> Vec<Range<usize>> {
            let ends = Ends {
                start: Edge::Column,
                end: Edge::Peers,
                descending,
            };
            let away = if descending { distance } else { -distance };
            let bounds = keys.iter().map(|key| key.map(|key| key + away));
            let bounds: ArrayRef = Arc::new(Int64Array::from_iter(bounds));
            let keys: ArrayRef = Arc::new(Int64Array::from(keys.to_vec()));
            let partition = Partition::new(&keys, ends).unwrap();
            (0..keys.len())
                .map(|row| partition.frame(row, ends, std::slice::from_ref(&bounds)).unwrap())
                .collect()
        };
        let up = [Some(1), Some(3), Some(3), Some(7), None, None];
        assert_eq!(frames(&up, 2, false), [0..1, 0..3, 0..3, 3..4, 4..6, 4..6]);
        let down = [None, Some(7), Some(3), Some(3), Some(1)];
        assert_eq!(frames(&down, 4, true), [0..1, 1..2, 1..4, 1..4, 2..5]);
    }

    #[test]
    fn the_edges_of_a_partition_hold_nulls_too() {
        let ends = Ends {
            start: Edge::Partition,
            end: Edge::Column,
            descending: false,
        };
        let keys: ArrayRef = Arc::new(Int64Array::from(vec![None, Some(1), Some(5)]));
        let partition = Partition::new(&keys, ends).unwrap();
        let frame = |row| partition.frame(row, ends, std::slice::from_ref(&keys)).unwrap();
        assert_eq!([frame(0), frame(1), frame(2)], [0..1, 0..2, 0..3]);
    }

    #[test]
    fn names_are_distinct() {
        let names: std::collections::HashSet<_> = Ends::all().map(Ends::name).collect();
        assert_eq!(names.len(), Ends::all().count());
    }
}
