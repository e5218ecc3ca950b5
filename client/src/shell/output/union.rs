//! Values of a union, such as what `->` finds in JSON: each is written as the member that it is. arrow-json has no
//! form of its own for them.

use arrow::array::{Array, UnionArray};
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;
use arrow::json::writer::{Encoder, EncoderFactory, EncoderOptions, NullableEncoder, make_encoder};

#[derive(Debug)]
pub(super) struct Unions;

impl EncoderFactory for Unions {
    fn make_default_encoder<'a>(
        &self,
        _: &'a FieldRef,
        array: &'a dyn Array,
        options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let Some(union) = array.as_any().downcast_ref::<UnionArray>() else {
            return Ok(None);
        };
        let DataType::Union(fields, _) = union.data_type() else {
            return Ok(None);
        };
        let members = fields.iter().map(|(id, field)| {
            let encoder = make_encoder(field, union.child(id).as_ref(), options)?;
            Ok((id, encoder))
        });
        let encoder = Member {
            union,
            members: members.collect::<Result<_, ArrowError>>()?,
        };
        Ok(Some(NullableEncoder::new(
            Box::new(encoder),
            union.logical_nulls(),
        )))
    }
}

struct Member<'a> {
    union: &'a UnionArray,
    members: Vec<(i8, NullableEncoder<'a>)>,
}

impl Encoder for Member<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        let (id, place) = (self.union.type_id(row), self.union.value_offset(row));
        let member = self.members.iter_mut().find(|(member, _)| *member == id);
        match member {
            Some((_, encoder)) if !encoder.is_null(place) => encoder.encode(place, out),
            Some(_) | None => out.extend_from_slice(b"null"),
        }
    }
}
