//! TUN devices: the IP packets of one network namespace, read and written by this process.
//!
//! The only file with `unsafe`: two calls of the kernel that no library wraps safely.

use std::ffi::c_int;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use rustix::ioctl::{Opcode, Setter, ioctl, opcode};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// linux/if_tun.h: `_IOW('T', 202, int)`, although it takes a `struct ifreq`.
const TUNSETIFF: Opcode = opcode::write::<c_int>(b'T', 202);
/// IP packets without an Ethernet header, and nothing else in front of them.
const IFF_TUN_AND_NO_PI: u16 = 0x0001 | 0x1000;
/// `IFNAMSIZ`, its closing zero included.
const NAME_BYTES: usize = 16;
/// Longer than any packet: the devices keep their MTU of 1500.
const LONGEST_PACKET: usize = 2048;

/// linux/if.h, as `TUNSETIFF` reads it.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; NAME_BYTES],
    flags: u16,
    /// The rest of the union.
    rest: [u8; 22],
}

/// One TUN device. It stays in the network namespace in which it was opened, and goes with this.
#[derive(Debug)]
pub(crate) struct Tun(File);

impl Tun {
    /// Makes a device of this name in the network namespace that the process is in now.
    pub(crate) fn open(name: &str) -> io::Result<Self> {
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
            .open("/dev/net/tun")?;
        let mut request = InterfaceRequest { name: [0; NAME_BYTES], flags: IFF_TUN_AND_NO_PI, rest: [0; 22] };
        request.name[..name.len()].copy_from_slice(name.as_bytes());
        // SAFETY: for this opcode the kernel reads and writes one `struct ifreq`, which `InterfaceRequest` is.
        unsafe { ioctl(&device, Setter::<TUNSETIFF, _>::new(request))? };
        Ok(Self(device))
    }

    /// A packet that the kernel sends by this device; `None` where none waits.
    pub(crate) fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = [0; LONGEST_PACKET];
        match self.0.read(&mut bytes) {
            Ok(length) => Ok(Some(bytes[..length].to_vec())),
            Err(problem) if problem.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// Lets the kernel receive a packet by this device. One that it does not take is lost, as on any network.
    pub(crate) fn write(&mut self, packet: &[u8]) {
        let _ = self.0.write(packet);
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Moves this process into a new network namespace, which ends with the last process inside.
pub(crate) fn enter_new_namespace() -> io::Result<()> {
    // SAFETY: only the network is unshared; file descriptors stay as they are.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.map_err(Into::into)
}
