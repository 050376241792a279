//! Looks for damage in the log that SQLite would take for its end.
//!
//! SQLite reads a log up to the first frame whose checksum is wrong: what a crash tore off was
//! never acknowledged. A flipped byte in the midst ends it just so, and everything committed after
//! it would be lost without a word. The two can be told apart: a commit is synced before the next
//! one is written, so where a commit has frames after it, all before it must be whole.

use std::{
    fs::File,
    io::{self, BufReader, Read as _},
    path::Path,
};

use super::{error::SqliteError, format};

/// Bytes before the first frame.
const HEADER: usize = 32;

/// Bytes before each frame's page.
const FRAME_HEADER: usize = 24;

/// The log's first word says how its checksums read words: this bit is set for big-endian.
const BIG_ENDIAN: u32 = 1;

/// SQLite's checksum of a log, which goes on from frame to frame.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sum {
    big_endian: bool,
    parts: (u32, u32),
}

/// What the frames after the first that is not whole say.
#[derive(Default)]
struct Rest {
    commit: bool,
    frame_after_commit: bool,
}

/// Checks the log beside a file that nobody has open.
///
/// # Errors
///
/// If commits in it can no longer be read.
pub(super) fn check(path: &Path) -> Result<(), SqliteError> {
    let log = format::beside(path, "-wal");
    if !format::has_log(path) {
        return Ok(());
    }
    let damaged = File::open(&log).and_then(first_damaged).map_err(SqliteError::file("read", &log))?;
    match damaged {
        None => Ok(()),
        Some(frame) => Err(SqliteError::DamagedLog { path: log, frame }),
    }
}

/// The number of the frame that cuts off commits.
fn first_damaged(file: File) -> io::Result<Option<u64>> {
    let length = file.metadata()?.len();
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut header = [0; HEADER];
    if length < HEADER as u64 {
        return Ok(None);
    }
    file.read_exact(&mut header)?;
    let salt = &header[16..24];
    let page = word(&header, 8) as usize;
    if !(512..=65_536).contains(&page) {
        // Its beginning was never written whole; nothing can follow it.
        return Ok(None);
    }
    let mut sum = Sum { big_endian: word(&header, 0) & BIG_ENDIAN != 0, parts: (0, 0) };
    sum.add(&header[..24]);
    let mut whole = sum.parts == (word(&header, 24), word(&header, 28));
    let mut damaged = (!whole).then_some(0);
    let mut rest = Rest::default();
    let frames = (length - HEADER as u64) / (FRAME_HEADER + page) as u64;
    let mut frame = vec![0; FRAME_HEADER + page];
    for number in 1..=frames {
        if whole {
            file.read_exact(&mut frame)?;
            sum.add(&frame[..8]);
            sum.add(&frame[FRAME_HEADER..]);
            whole = &frame[8..16] == salt && sum.parts == (word(&frame, 16), word(&frame, 20));
            if whole {
                continue;
            }
            damaged = Some(number);
        } else {
            file.read_exact(&mut frame[..FRAME_HEADER])?;
            file.seek_relative(i64::from(word(&header, 8)))?;
        }
        rest.see(&frame, salt);
    }
    Ok(damaged.filter(|_| rest.frame_after_commit))
}

impl Rest {
    /// Looks at a frame. One with another salt is left over from before the log began anew.
    fn see(&mut self, frame: &[u8], salt: &[u8]) {
        if &frame[8..16] == salt {
            self.frame_after_commit |= self.commit;
            self.commit |= word(frame, 4) != 0;
        }
    }
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        let (mut first, mut second) = self.parts;
        for pair in bytes.chunks_exact(8) {
            let (left, right) = if self.big_endian {
                (word(pair, 0), word(pair, 4))
            } else {
                (word(pair, 0).swap_bytes(), word(pair, 4).swap_bytes())
            };
            first = first.wrapping_add(left).wrapping_add(second);
            second = second.wrapping_add(right).wrapping_add(first);
        }
        self.parts = (first, second);
    }
}

/// The big-endian word at `at`.
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
