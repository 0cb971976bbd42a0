//! As much of an ELF executable as tells whether it can run in an empty container image: the machine,
//! and whether it asks for an interpreter (elf(5)).

use std::io::{self, Read, Seek, SeekFrom};

/// A Linux executable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elf {
    /// What it runs on.
    pub machine: Machine,
    /// Whether it needs a dynamic loader, and a C library with it.
    pub dynamic: bool,
}

/// What an executable runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
}

impl Machine {
    /// The name in a container image's configuration.
    pub fn architecture(self) -> &'static str {
        match self {
            Machine::Amd64 => "amd64",
            Machine::Arm64 => "arm64",
        }
    }
}

/// The file is not what could run in a container on Linux.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// It is something else.
    #[error("it is no Linux executable (ELF)")]
    NotElf,
    /// It is for a machine that we do not know.
    #[error("it is an ELF file, but not a 64-bit executable for x86-64 or AArch64")]
    Unsupported,
    /// It could not be read, or breaks off.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
}

type Header = [u8; 64];
type ProgramHeader = [u8; 56];

/// The program header that names an interpreter.
const PT_INTERP: [u8; 4] = 3u32.to_le_bytes();

/// The count that stands for "more than fit here"; no executable of ours has so many.
const PN_XNUM: u16 = 0xffff;

impl Elf {
    /// Reads the header and the program headers.
    ///
    /// # Errors
    /// When the file is no executable for Linux on a machine that we know, or cannot be read.
    pub fn read(file: &mut (impl Read + Seek)) -> Result<Self, ElfError> {
        let header = header(file)?;
        let machine = machine(&header)?;
        let dynamic = asks_for_interpreter(file, &header)?;
        Ok(Elf { machine, dynamic })
    }
}

fn header(file: &mut (impl Read + Seek)) -> Result<Header, ElfError> {
    let mut header = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(size_of::<Header>() as u64).read_to_end(&mut header)?;
    // What is shorter is no executable of any kind.
    let header = Header::try_from(header).map_err(|_| ElfError::NotElf)?;
    if header.starts_with(b"\x7fELF") { Ok(header) } else { Err(ElfError::NotElf) }
}

fn machine(header: &Header) -> Result<Machine, ElfError> {
    let (bits_64, little_endian) = (header[4] == 2, header[5] == 1);
    match u16::from_le_bytes([header[18], header[19]]) {
        62 if bits_64 && little_endian => Ok(Machine::Amd64),
        183 if bits_64 && little_endian => Ok(Machine::Arm64),
        _ => Err(ElfError::Unsupported),
    }
}

fn asks_for_interpreter(file: &mut (impl Read + Seek), header: &Header) -> Result<bool, ElfError> {
    let mut offset = [0; 8];
    offset.copy_from_slice(&header[32..40]);
    let offset = u64::from_le_bytes(offset);
    let size = u16::from_le_bytes([header[54], header[55]]);
    let count = u16::from_le_bytes([header[56], header[57]]);
    if usize::from(size) != size_of::<ProgramHeader>() || count == 0 || count == PN_XNUM {
        return Err(ElfError::Unsupported);
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut found = false;
    for _ in 0..count {
        let mut program_header: ProgramHeader = [0; _];
        file.read_exact(&mut program_header)?;
        found |= program_header.starts_with(&PT_INTERP);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    /// An executable with these kinds of program headers and nothing else.
    fn crafted(machine: u16, kinds: &[u32]) -> Vec<u8> {
        let mut file = vec![0; 64 + 56 * kinds.len()];
        file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        file[18..20].copy_from_slice(&machine.to_le_bytes());
        file[32..40].copy_from_slice(&64u64.to_le_bytes());
        file[54..56].copy_from_slice(&56u16.to_le_bytes());
        let count = u16::try_from(kinds.len()).expect("a few");
        file[56..58].copy_from_slice(&count.to_le_bytes());
        for (kind, at) in kinds.iter().zip((64..).step_by(56)) {
            file[at..at + 4].copy_from_slice(&kind.to_le_bytes());
        }
        file
    }

    fn read(file: Vec<u8>) -> Result<Elf, ElfError> {
        Elf::read(&mut Cursor::new(file))
    }

    #[test]
    fn an_interpreter_makes_it_dynamic() {
        let machine = Machine::Amd64;
        let load_and_dynamic = read(crafted(62, &[1, 2])).expect("read");
        assert_eq!(load_and_dynamic, Elf { machine, dynamic: false }, "static-pie");
        let interpreted = read(crafted(62, &[1, 3, 2])).expect("read");
        assert_eq!(interpreted, Elf { machine, dynamic: true });
    }

    #[test]
    fn the_machine_is_named_as_images_do() {
        let architecture = |machine| read(crafted(machine, &[1])).expect("read").machine;
        assert_eq!(architecture(62).architecture(), "amd64");
        assert_eq!(architecture(183).architecture(), "arm64");
        assert!(matches!(read(crafted(40, &[1])), Err(ElfError::Unsupported)));
    }

    #[test]
    fn what_is_no_executable_for_linux_is_told_so() {
        for file in [&b""[..], b"#!/bin/sh\n", &[0xcf, 0xfa, 0xed, 0xfe].repeat(30), b"\x7fELF"] {
            assert!(matches!(read(file.to_vec()), Err(ElfError::NotElf)), "{file:?}");
        }
        assert!(matches!(read(crafted(62, &[])), Err(ElfError::Unsupported)));
        let mut short = crafted(62, &[1, 1]);
        short.pop();
        assert!(matches!(read(short), Err(ElfError::Read(_))));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_executable_is_static() {
        let mut file = File::open("/proc/self/exe").expect("opened");
        assert!(!Elf::read(&mut file).expect("read").dynamic, "see .cargo/config.toml");
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(tail in prop::collection::vec(any::<u8>(), 0..300)) {
            read([&b"\x7fELF\x02\x01"[..], &tail].concat()).ok();
        }

        #[test]
        fn no_changed_header_makes_it_panic(at in 0usize..64, value: u8) {
            let mut file = crafted(62, &[1, 2, 3]);
            file[at] = value;
            read(file).ok();
        }
    }
}
