//! The columns of a frame's body: as many values and bytes as their types take, before Arrow decodes them.

use std::collections::VecDeque;

use arrow::ipc::{self, Field, FieldNode, MetadataVersion, Type, UnionMode};

use super::{Checked, children, ensure};

/// Values that take no bytes, such as NULLs of no type, may be so many in a frame; all others are bounded
/// by the frame's size.
pub(super) const VALUES_MAX: usize = 4 << 20;
/// A compressed frame may be this large, and say that it will be that large: LZ4 makes 255 bytes of one.
const COMPRESSED_BYTES_MAX: usize = 4 << 20;
const DECOMPRESSED_BYTES_MAX: usize = 256 << 20;
const VIEW_BYTES: usize = 16;

/// A batch's columns, walked as the decoder walks them.
pub(super) struct Columns<'a> {
    body: &'a [u8],
    nodes: Box<dyn Iterator<Item = &'a FieldNode> + 'a>,
    buffers: VecDeque<&'a ipc::Buffer>,
    /// For each column of a view type, how many buffers of data it has.
    views: VecDeque<i64>,
    compressed: bool,
    version: MetadataVersion,
    /// How many values, and how many bytes when decompressed, there may be yet.
    values: usize,
    bytes: usize,
}

/// What a column says of itself.
#[derive(Clone, Copy)]
struct Node {
    length: usize,
    nulls: usize,
}

impl<'a> Columns<'a> {
    pub(super) fn of(batch: ipc::RecordBatch<'a>, body: &'a [u8], version: MetadataVersion) -> Checked<Self> {
        let compressed = batch.compression().is_some();
        ensure(
            !compressed || body.len() <= COMPRESSED_BYTES_MAX,
            "a compressed frame has more than 4 MiB; send fewer rows at a time",
        )?;
        let bytes = if compressed {
            DECOMPRESSED_BYTES_MAX
        } else {
            body.len()
        };
        let values = VALUES_MAX.max(bytes.saturating_mul(8));
        let rows = usize::try_from(batch.length())
            .ok()
            .filter(|rows| *rows <= values);
        ensure(rows.is_some(), "a batch has more rows than there are values")?;
        Ok(Self {
            body,
            nodes: Box::new(batch.nodes().into_iter().flatten()),
            buffers: batch.buffers().into_iter().flatten().collect(),
            views: batch.variadicBufferCounts().into_iter().flatten().collect(),
            compressed,
            version,
            values,
            bytes,
        })
    }

    /// Every buffer that was announced has to have been somebody's.
    pub(super) fn end(self) -> Checked {
        ensure(self.views.is_empty(), "there are more buffers than columns")
    }

    pub(super) fn array(&mut self, field: Field<'_>, is_dictionary: bool) -> Checked {
        let width = |int: Option<ipc::Int<'_>>| int.map_or(1, |int| int.bitWidth() as usize / 8);
        if let (Some(dictionary), false) = (field.dictionary(), is_dictionary) {
            return self.plain(&[width(dictionary.indexType())]);
        }
        match field.type_type() {
            Type::Null => self.node().map(drop),
            Type::Int => self.plain(&[width(field.type_as_int())]),
            Type::Utf8 | Type::Binary => self.plain(&[4, 1]),
            Type::LargeUtf8 | Type::LargeBinary => self.plain(&[8, 1]),
            Type::Utf8View | Type::BinaryView => self.view(),
            Type::List | Type::Map => {
                self.plain(&[4])?;
                self.children(field)
            }
            Type::LargeList => {
                self.plain(&[8])?;
                self.children(field)
            }
            Type::ListView => {
                self.plain(&[4, 4])?;
                self.children(field)
            }
            Type::LargeListView => {
                self.plain(&[8, 8])?;
                self.children(field)
            }
            Type::FixedSizeList | Type::Struct_ => {
                self.plain(&[])?;
                self.children(field)
            }
            Type::RunEndEncoded => {
                self.node()?;
                self.children(field)
            }
            Type::Union => {
                self.union(field)?;
                self.children(field)
            }
            _ => self.plain(&[1]),
        }
    }

    fn children(&mut self, field: Field<'_>) -> Checked {
        children(field).try_for_each(|child| self.array(child, false))
    }

    /// A column with a buffer of NULLs and others, whose numbers have these widths.
    fn plain(&mut self, widths: &[usize]) -> Checked {
        let node = self.node()?;
        let validity = self.buffer()?;
        check_validity(node, validity)?;
        widths.iter().try_for_each(|width| self.numbers(*width))
    }

    fn numbers(&mut self, width: usize) -> Checked {
        let bytes = self.buffer()?;
        ensure(
            bytes.is_multiple_of(width),
            "a buffer of numbers ends in the middle of one",
        )
    }

    fn view(&mut self) -> Checked {
        let count = self
            .views
            .pop_front()
            .and_then(|count| usize::try_from(count).ok());
        let Some(count) = count.filter(|count| *count <= self.buffers.len()) else {
            return Err("a column of views does not say how many buffers it has".to_owned());
        };
        let validity = self.buffer()?;
        self.numbers(VIEW_BYTES)?;
        (0..count).try_for_each(|_| self.buffer().map(drop))?;
        check_validity(self.node()?, validity)
    }

    fn union(&mut self, field: Field<'_>) -> Checked {
        let node = self.node()?;
        if self.version < MetadataVersion::V5 {
            self.buffer()?;
        }
        let types = self.buffer()?;
        ensure(types >= node.length, "a union has fewer types than values")?;
        if field
            .type_as_union()
            .is_some_and(|union| union.mode() == UnionMode::Dense)
        {
            // These alone are not moved to where numbers may lie.
            let start = self.buffers.front().map_or(0, |buffer| buffer.offset());
            ensure(start % 4 == 0, "the offsets of a union lie between the numbers")?;
            let offsets = self.buffer()?;
            ensure(
                offsets / 4 >= node.length,
                "a union has fewer offsets than values",
            )?;
        }
        Ok(())
    }

    fn node(&mut self) -> Checked<Node> {
        let node = self
            .nodes
            .next()
            .ok_or("there are fewer columns than the schema has")?;
        let length = usize::try_from(node.length()).map_err(|_| "a column has a negative length")?;
        let nulls = usize::try_from(node.null_count()).map_err(|_| "a column has negative NULLs")?;
        ensure(nulls <= length, "a column has more NULLs than values")?;
        self.values = self
            .values
            .checked_sub(length)
            .ok_or("the columns have more values than the frame has room for")?;
        Ok(Node { length, nulls })
    }

    /// The bytes of the next buffer, when they are decompressed.
    fn buffer(&mut self) -> Checked<usize> {
        let buffer = self
            .buffers
            .pop_front()
            .ok_or("there are fewer buffers than the columns need")?;
        let range = usize::try_from(buffer.offset())
            .ok()
            .zip(usize::try_from(buffer.length()).ok());
        let content = range
            .and_then(|(offset, length)| self.body.get(offset..offset.checked_add(length)?))
            .ok_or("a buffer lies outside of the frame")?;
        if !self.compressed || content.is_empty() {
            return Ok(content.len());
        }
        let (length, rest) = content
            .split_first_chunk()
            .ok_or("a compressed buffer has no length")?;
        let length = match i64::from_le_bytes(*length) {
            -1 => rest.len(),
            length => usize::try_from(length).map_err(|_| "a compressed buffer has a negative length")?,
        };
        self.bytes = self
            .bytes
            .checked_sub(length)
            .ok_or("a compressed frame has more than 256 MiB when it is decompressed")?;
        Ok(length)
    }
}

fn check_validity(node: Node, bytes: usize) -> Checked {
    ensure(
        node.nulls == 0 || bytes >= node.length.div_ceil(8),
        "a column does not say which of its values are NULL",
    )
}
