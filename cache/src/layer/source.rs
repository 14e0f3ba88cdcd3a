//! Where the bytes of a file in a layer are: a file of their own, or a part of the layer's tar.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// The data of one file, readable from several threads.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    /// What holds the bytes.
    pub(crate) file: Arc<File>,
    /// Where they begin in it.
    pub(crate) offset: u64,
}

/// Reads a part of a file without moving its position.
pub(crate) struct Part {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Body {
    /// The first `size` bytes.
    pub(crate) fn reader(&self, size: u64) -> Part {
        Part { file: Arc::clone(&self.file), at: self.offset, left: size }
    }
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let got = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += got as u64;
        self.left -= got as u64;
        Ok(got)
    }
}
