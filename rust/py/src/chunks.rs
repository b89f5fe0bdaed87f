//! The chunks of a column, by row number.

use arrow_array::Array;

/// Row number -> chunk. A table of 1,613 mapped files has as many chunks, so a plain search per row would cost more than the row.
pub(crate) struct Chunks<A> {
    arrays: Vec<A>,
    starts: Vec<usize>,
    first_chunk_of_block: Vec<u32>,
}

const BLOCK_BITS: u32 = 12;

/// A chunk's number of rows.
pub(crate) trait Rows {
    fn rows(&self) -> usize;
}

impl<A: Array> Rows for A {
    fn rows(&self) -> usize {
        self.len()
    }
}

impl<A: Rows> Chunks<A> {
    pub(crate) fn new(arrays: Vec<A>) -> Self {
        let arrays: Vec<A> = arrays.into_iter().filter(|array| array.rows() > 0).collect();
        let mut starts = Vec::with_capacity(arrays.len() + 1);
        let mut rows = 0;
        for array in &arrays {
            starts.push(rows);
            rows += array.rows();
        }
        starts.push(rows);
        let mut first_chunk_of_block = Vec::with_capacity((rows >> BLOCK_BITS) + 1);
        let mut chunk = 0u32;
        for block in 0..=rows >> BLOCK_BITS {
            while starts.get(chunk as usize + 1).is_some_and(|&end| end <= block << BLOCK_BITS) {
                chunk += 1;
            }
            first_chunk_of_block.push(chunk);
        }
        Self { arrays, starts, first_chunk_of_block }
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    pub(crate) fn locate(&self, row: usize) -> (&A, usize) {
        let mut chunk = self.first_chunk_of_block[row >> BLOCK_BITS] as usize;
        while row >= self.starts[chunk + 1] {
            chunk += 1;
        }
        (&self.arrays[chunk], row - self.starts[chunk])
    }
}
