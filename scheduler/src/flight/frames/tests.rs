use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryViewArray, BooleanArray, Decimal128Array, DictionaryArray, FixedSizeListArray,
    Int32Array, Int64Array, ListArray, NullArray, RunArray, StringArray, StringViewArray, StructArray,
    UnionArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, UnionFields};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};

use super::columns::VALUES_MAX;
use super::*;

fn every_type() -> RecordBatch {
    let texts = ["a", "b", "a text too long for a view to hold it"];
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
    let fields = UnionFields::from_fields([
        arrow::datatypes::Field::new("i", DataType::Int32, true),
        arrow::datatypes::Field::new("s", DataType::Utf8, true),
    ]);
    let children = vec![
        Arc::new(Int32Array::from(vec![7, 8])) as ArrayRef,
        Arc::new(StringArray::from(vec!["x"])),
    ];
    let union =
        UnionArray::try_new(fields, vec![0, 1, 0].into(), Some(vec![0, 0, 1].into()), children).unwrap();
    let fixed = FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(
        [Some(vec![Some(1), None]), None, Some(vec![None, None])],
        2,
    );
    let lists =
        ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None, Some(vec![])]);
    let runs = RunArray::try_new(&Int32Array::from(vec![2, 3]), &StringArray::from(vec!["p", "q"])).unwrap();
    let structs = StructArray::from(vec![(
        Arc::new(Field::new("x", DataType::Int32, true)),
        Arc::clone(&numbers),
    )]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("null", Arc::new(NullArray::new(3))),
        (
            "flag",
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        ),
        ("long", Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]))),
        ("decimal", Arc::new(Decimal128Array::from(vec![1, 2, 3]))),
        (
            "text",
            Arc::new(StringArray::from(vec![Some("a"), None, Some("c")])),
        ),
        ("view", Arc::new(StringViewArray::from_iter_values(texts))),
        ("bytes", Arc::new(BinaryViewArray::from_iter_values(texts))),
        (
            "dictionary",
            Arc::new(texts.into_iter().collect::<DictionaryArray<Int32Type>>()),
        ),
        ("list", Arc::new(lists)),
        ("fixed", Arc::new(fixed)),
        ("struct", Arc::new(structs)),
        ("union", Arc::new(union)),
        ("runs", Arc::new(runs)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .unwrap()
}

async fn encoded(batch: &RecordBatch, compression: Option<CompressionType>) -> Vec<FlightData> {
    let options = IpcWriteOptions::default()
        .try_with_compression(compression)
        .unwrap();
    FlightDataEncoderBuilder::new()
        .with_options(options)
        .with_dictionary_handling(DictionaryHandling::Resend)
        .build(stream::iter([Ok(batch.clone())]))
        .try_collect()
        .await
        .unwrap()
}

async fn decoded(frames: Vec<FlightData>) -> Result<Vec<RecordBatch>> {
    Batches::of(stream::iter(frames.into_iter().map(Ok)))
        .into_stream()
        .try_collect()
        .await
}

#[tokio::test]
async fn right_frames_are_read() {
    let batch = every_type();
    for compression in [
        None,
        Some(CompressionType::LZ4_FRAME),
        Some(CompressionType::ZSTD),
    ] {
        let frames = encoded(&batch, compression).await;
        assert_eq!(columns(&frames[0]).unwrap(), batch.num_columns());
        let read = decoded(frames).await.unwrap();
        assert_eq!((read.len(), read[0].num_rows()), (1, 3), "{compression:?}");
        for (read, sent) in read[0].columns().iter().zip(batch.columns()) {
            assert_eq!(read, sent, "{compression:?}");
        }
    }
}

/// Whatever bit of a header is wrong: an answer or an error, but no panic.
#[tokio::test]
async fn headers_of_which_a_bit_is_wrong() {
    let frames = encoded(&every_type(), None).await;
    assert_eq!(frames.len(), 3, "schema, dictionary, rows");
    for at in 0..frames.len() {
        for bit in 0..frames[at].data_header.len() * 8 {
            let mut wrong = frames.clone();
            let mut header = wrong[at].data_header.to_vec();
            header[bit / 8] ^= 1 << (bit % 8);
            wrong[at].data_header = header.into();
            assert_no_panic(wrong, &format!("bit {bit} of frame {at}")).await;
        }
    }
}

#[tokio::test]
async fn bodies_that_are_cut_or_wrong() {
    for compression in [None, Some(CompressionType::ZSTD)] {
        let frames = encoded(&every_type(), compression).await;
        for at in 1..frames.len() {
            for end in 0..frames[at].data_body.len() {
                let mut wrong = frames.clone();
                wrong[at].data_body = wrong[at].data_body.slice(..end);
                assert_no_panic(wrong, &format!("{end} bytes of frame {at}")).await;
                let mut wrong = frames.clone();
                let mut body = wrong[at].data_body.to_vec();
                body[end] ^= 0xff;
                wrong[at].data_body = body.into();
                assert_no_panic(wrong, &format!("byte {end} of frame {at}")).await;
            }
        }
    }
}

async fn assert_no_panic(frames: Vec<FlightData>, what: &str) {
    if let Err(error) = decoded(frames).await {
        assert!(!format!("{error:?}").contains(PANICKED), "{what}: {error:?}");
    }
}

#[tokio::test]
async fn values_that_take_no_bytes_are_counted() {
    let many = |rows: usize| {
        let nulls: ArrayRef = Arc::new(NullArray::new(rows));
        RecordBatch::try_from_iter_with_nullable([("a", Arc::clone(&nulls), true), ("b", nulls, true)])
            .unwrap()
    };
    assert!(decoded(encoded(&many(VALUES_MAX / 2), None).await).await.is_ok());
    let error = decoded(encoded(&many(VALUES_MAX), None).await).await.unwrap_err();
    assert_eq!(error.code(), SqlState::DataException);
    assert!(error.detail().unwrap_or_default().contains("room"), "{error:?}");
}
