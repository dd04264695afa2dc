//! What the disk is told of what will be read.

use super::{AHEAD_BYTES, BEGINNING_BYTES, Scanner, WINDOW_BYTES};
use crate::disk::File;
use bytes::Bytes;
use std::io;
use std::sync::Mutex;

/// A file of zeroes that notes what is said of it, and what was copied: offset and length.
struct Noting {
    len: usize,
    told: Mutex<Vec<(u64, u64)>>,
    copied: Mutex<Vec<(u64, u64)>>,
}

impl Noting {
    fn of(len: usize) -> Self {
        Self { len, told: Mutex::default(), copied: Mutex::default() }
    }
}

impl File for Noting {
    fn len(&self) -> u64 {
        self.len as u64
    }

    fn write(&self, _offset: u64, _slices: &[&[u8]]) -> io::Result<()> {
        unreachable!("a scanner writes nothing")
    }

    fn read(&self, _offset: u64, _len: usize) -> io::Result<Bytes> {
        unreachable!("a scanner copies")
    }

    fn copy_to(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        buffer.fill(0);
        self.copied.lock().unwrap().push((offset, buffer.len() as u64));
        Ok(())
    }

    fn will_copy(&self, offset: u64, len: u64) {
        self.told.lock().unwrap().push((offset, len));
    }

    fn reclaim(&self) -> bool {
        true
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn every_byte_behind_the_second_window_is_told_once_in_order_and_before_it_is_copied() {
    let file = Noting::of(3 * AHEAD_BYTES + 4096);
    let mut scanner = Scanner::new(&file, file.len, Vec::new());
    for offset in (0..file.len).step_by(4096) {
        scanner.bytes(offset, 4096).unwrap();
        let told = file.told.lock().unwrap();
        let (copied, len) = *file.copied.lock().unwrap().last().unwrap();
        let is_told = told.last().is_none_or(|(from, more)| copied + len <= from + more);
        assert!(is_told, "{copied} was copied, told was {told:?}");
    }
    let mut end = (BEGINNING_BYTES + WINDOW_BYTES) as u64;
    for (from, len) in file.told.into_inner().unwrap() {
        assert_eq!(from, end);
        assert!(len > 0 && len <= AHEAD_BYTES as u64);
        end = from + len;
    }
    assert_eq!(end, file.len as u64);
}

#[test]
fn where_no_more_than_the_beginning_is_read_nothing_is_told() {
    let file = Noting::of(AHEAD_BYTES);
    Scanner::new(&file, file.len, Vec::new()).bytes(0, 16).unwrap();
    assert_eq!(*file.told.lock().unwrap(), []);
}
