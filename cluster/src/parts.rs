//! Division of large batches, before they are sent to another process: the size of a batch is a number of rows, however many
//! bytes a row has, and both ends of a connection hold at least one batch in memory.

use arrow::compute::take_record_batch;
use datafusion::arrow;
use datafusion::arrow::array::{Array, RecordBatch, UInt32Array};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;

/// The size in bytes above which a batch is divided.
const MOST: usize = 8 << 20;

/// What is left of a batch that is handed on in parts.
#[derive(Debug)]
pub(crate) struct Parts {
    batch: RecordBatch,
    next: usize,
    rows: usize,
}

impl Parts {
    /// The parts of a batch; `None` for one that is not large.
    pub(crate) fn of(batch: &RecordBatch) -> Result<Option<Self>> {
        // Counts buffers whole, also those that other batches share.
        if batch.get_array_memory_size() <= MOST
            || batch.num_rows() < 2
            || batch
                .columns()
                .iter()
                .any(|column| shares_values(column.data_type()))
        {
            return Ok(None);
        }
        let mut bytes = 0;
        for column in batch.columns() {
            bytes += column.to_data().get_slice_memory_size()?;
        }
        let rows = (batch.num_rows() * MOST).div_euclid(bytes.max(1)).max(1);
        Ok((rows < batch.num_rows()).then(|| Self {
            batch: batch.clone(),
            next: 0,
            rows,
        }))
    }
}

impl Iterator for Parts {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let end = self.batch.num_rows().min(self.next + self.rows);
        if self.next == end {
            return None;
        }
        // A copy: a slice would hold the buffers of all rows, and count as these.
        let rows = UInt32Array::from_iter_values((self.next..end).filter_map(|row| u32::try_from(row).ok()));
        self.next = end;
        Some(take_record_batch(&self.batch, &rows).map_err(Into::into))
    }
}

/// Whether the rows of a type refer to values that every part would hold, so that parts are no smaller.
fn shares_values(kind: &DataType) -> bool {
    use DataType as Type;
    match kind {
        Type::Utf8View
        | Type::BinaryView
        | Type::ListView(_)
        | Type::LargeListView(_)
        | Type::Dictionary(_, _)
        | Type::RunEndEncoded(_, _)
        | Type::Union(_, _) => true,
        Type::List(item) | Type::LargeList(item) | Type::FixedSizeList(item, _) | Type::Map(item, _) => {
            shares_values(item.data_type())
        }
        Type::Struct(fields) => fields.iter().any(|field| shares_values(field.data_type())),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, DictionaryArray, Int64Array, StringArray};
    use datafusion::arrow::compute::concat_batches;
    use datafusion::arrow::datatypes::Int32Type;

    use super::*;

    fn batch(rows: i64, length: usize) -> RecordBatch {
        let numbers = Arc::new(Int64Array::from_iter_values(0..rows)) as ArrayRef;
        let texts =
            StringArray::from_iter_values((0..rows).map(|row| format!("{row}{}", "x".repeat(length))));
        RecordBatch::try_from_iter([("n", numbers), ("t", Arc::new(texts) as ArrayRef)]).unwrap()
    }

    #[test]
    fn large_batches_are_divided() {
        assert!(Parts::of(&batch(8192, 100)).unwrap().is_none());
        assert!(Parts::of(&batch(1, 20 << 20)).unwrap().is_none());
        // A small part of a large batch is not one.
        assert!(Parts::of(&batch(8192, 10_000).slice(7, 20)).unwrap().is_none());
        let names: DictionaryArray<Int32Type> = ["a", "b"].into_iter().cycle().take(8192).collect();
        let mut columns = batch(8192, 10_000).columns().to_vec();
        columns.push(Arc::new(names));
        let shared = RecordBatch::try_from_iter(["n", "t", "d"].into_iter().zip(columns)).unwrap();
        assert!(Parts::of(&shared).unwrap().is_none());
        for (rows, length) in [(8192, 10_000), (3, 20 << 20), (2, 5 << 20)] {
            let whole = batch(rows, length);
            let parts: Vec<RecordBatch> = Parts::of(&whole)
                .unwrap()
                .unwrap()
                .collect::<Result<_>>()
                .unwrap();
            assert_eq!(concat_batches(&whole.schema(), &parts).unwrap(), whole);
            for part in &parts {
                let size = part.get_array_memory_size();
                assert!(part.num_rows() == 1 || size < MOST + MOST / 8, "{size}");
                assert!(Parts::of(part).unwrap().is_none_or(|parts| parts.rows == 1));
            }
        }
    }
}
