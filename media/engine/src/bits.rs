//! Reads and writes single bits, the highest of each byte first.

use crate::malformed::Malformed;

/// A cursor over bits; `short` is the error of every read past the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    place: usize,
    short: Malformed,
}

impl<'a> BitReader<'a> {
    pub(crate) const fn new(bytes: &'a [u8], short: &'static str) -> Self {
        Self { bytes, place: 0, short: Malformed(short) }
    }

    /// How many bits were read.
    pub(crate) const fn place(&self) -> usize {
        self.place
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Malformed> {
        let byte = *self.bytes.get(self.place / 8).ok_or(self.short)?;
        let bit = byte >> (7 - self.place % 8) & 1;
        self.place += 1;
        Ok(bit != 0)
    }

    /// A number of up to 32 bits.
    pub(crate) fn number(&mut self, width: u32) -> Result<u32, Malformed> {
        let mut value = 0;
        for _ in 0..width {
            value = value << 1 | u32::from(self.flag()?);
        }
        Ok(value)
    }

    /// A number below `values`, in as few bits as that takes: ns(n) of the AV1 specification, section 4.10.7.
    pub(crate) fn below(&mut self, values: u32) -> Result<u32, Malformed> {
        let width = u32::BITS - values.leading_zeros();
        let short_ones = (1 << width) - values;
        let value = self.number(width.saturating_sub(1))?;
        if value < short_ones {
            return Ok(value);
        }
        Ok((value << 1 | u32::from(self.flag()?)) - short_ones)
    }
}

/// Appends bits to a buffer of a fixed size; what does not fit is noticed at the end.
#[derive(Debug)]
pub(crate) struct BitWriter<'a> {
    out: &'a mut [u8],
    place: usize,
}

impl<'a> BitWriter<'a> {
    pub(crate) fn new(out: &'a mut [u8]) -> Self {
        out.fill(0);
        Self { out, place: 0 }
    }

    pub(crate) fn flag(&mut self, value: bool) {
        if let Some(byte) = self.out.get_mut(self.place / 8) {
            *byte |= u8::from(value) << (7 - self.place % 8);
        }
        self.place += 1;
    }

    pub(crate) fn number(&mut self, value: u32, width: u32) {
        for bit in (0..width).rev() {
            self.flag(value >> bit & 1 != 0);
        }
    }

    /// Copies bits `from..to` of `bytes`.
    pub(crate) fn copy(&mut self, bytes: &[u8], from: usize, to: usize) {
        for place in from..to {
            self.flag(bytes.get(place / 8).is_some_and(|byte| byte >> (7 - place % 8) & 1 != 0));
        }
    }

    /// How many bytes were written, the last filled up with zeros; `None` where they did not fit.
    pub(crate) fn finish(self) -> Option<usize> {
        Some(self.place.div_ceil(8)).filter(|length| *length <= self.out.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_written_and_read_back() {
        let mut bytes = [0xff; 4];
        let mut writer = BitWriter::new(&mut bytes);
        writer.flag(true);
        writer.number(0x2a5, 10);
        writer.copy(&[0b0110_0000], 1, 4);
        assert_eq!(writer.finish(), Some(2));
        let mut reader = BitReader::new(&bytes[..2], "short");
        assert_eq!(reader.flag(), Ok(true));
        assert_eq!(reader.number(10), Ok(0x2a5));
        assert_eq!(reader.number(5), Ok(0b11000));
        assert_eq!(reader.place(), 16);
        assert_eq!(reader.flag(), Err(Malformed("short")));
        let mut writer = BitWriter::new(&mut bytes);
        writer.copy(&[0; 5], 0, 33);
        assert_eq!(writer.finish(), None);
    }

    #[test]
    fn numbers_below_a_bound_take_few_bits() {
        // Of five values three take two bits, and two take three.
        for (bits, value) in [(0b000_00000, 0), (0b010_00000, 1), (0b100_00000, 2), (0b110_00000, 3), (0b111_00000, 4)]
        {
            assert_eq!(BitReader::new(&[bits], "short").below(5), Ok(value));
        }
        let mut reader = BitReader::new(&[], "short");
        assert_eq!((reader.below(1), reader.place()), (Ok(0), 0));
    }
}
