//! The dependency descriptor (AV1 RTP specification, appendix A), which tells of frames of any codec which layer they
//! belong to, what they refer to, and which receivers need them.

use std::sync::Arc;

use crate::bits::{BitReader, BitWriter};
use crate::malformed::Malformed;

/// Template ids have 6 bits and wrap there.
const TEMPLATE_IDS: u8 = 64;
/// Spatial layers of a scalability mode (AV1 specification, section 6.7.5); sets of layers are held in bytes.
pub const MAX_SPATIAL: usize = 4;
/// Temporal ids of AV1 and VP9 have 3 bits.
const MAX_TEMPORAL: u8 = 7;
/// AV1 and VP9 refer to seven and three earlier frames at most.
const MAX_REFERENCES: usize = 8;
/// A value of the longest header extension (RFC 8285 section 4.3).
pub(crate) const MAX_LENGTH: usize = 255;

/// What a frame is to a decode target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indication {
    /// The target has it not.
    NotPresent,
    /// Nothing of the target refers to it.
    Discardable,
    /// Whoever can decode it can decode all of the target from here on.
    Switch,
    Required,
}

/// What a frame is to each decode target: two bits for each, the first target in the lowest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Indications(u64);

impl Indications {
    fn read(reader: &mut BitReader<'_>, decode_targets: u8) -> Result<Self, Malformed> {
        let mut indications = 0;
        for target in 0..decode_targets {
            indications |= u64::from(reader.number(2)?) << (2 * target);
        }
        Ok(Self(indications))
    }

    pub const fn get(self, target: u8) -> Indication {
        match self.0 >> (2 * (target & 31)) & 3 {
            0 => Indication::NotPresent,
            1 => Indication::Discardable,
            2 => Indication::Switch,
            _ => Indication::Required,
        }
    }

    pub fn has(self, target: u8) -> bool {
        self.get(target) != Indication::NotPresent
    }
}

/// How far back in frame numbers the frames lie that a frame refers to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct References {
    steps: [u16; MAX_REFERENCES],
    count: u8,
}

impl References {
    pub fn as_slice(&self) -> &[u16] {
        &self.steps[..usize::from(self.count)]
    }

    fn push(&mut self, step: u32) -> Result<(), Malformed> {
        let place = self.steps.get_mut(usize::from(self.count));
        *place.ok_or(Malformed("dependency descriptor: more than 8 references"))? = step as u16;
        self.count += 1;
        Ok(())
    }
}

/// What many frames have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    pub spatial: u8,
    pub temporal: u8,
    pub indications: Indications,
    pub references: References,
    /// For each chain, how far back its last frame lies.
    pub chain_steps: Vec<u8>,
}

/// The highest layers of a decode target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DecodeTarget {
    pub spatial: u8,
    pub temporal: u8,
    /// The targets whose frames are all frames of this one too, this one included: a bit for each.
    pub within: u32,
    /// The chain that protects it.
    pub chain: Option<u8>,
}

/// The template dependency structure: it comes with a key frame and holds until another comes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Structure {
    pub template_offset: u8,
    pub templates: Vec<Template>,
    pub decode_targets: Vec<DecodeTarget>,
    pub chains: u8,
    /// Width and height in pixels for each spatial layer; empty where it does not say.
    pub resolutions: Vec<(u32, u32)>,
}

impl Structure {
    fn read(reader: &mut BitReader<'_>) -> Result<Self, Malformed> {
        let template_offset = reader.number(6)? as u8;
        let targets = reader.number(5)? as u8 + 1;
        let mut templates = read_layers(reader)?;
        for template in &mut templates {
            template.indications = Indications::read(reader, targets)?;
        }
        for template in &mut templates {
            while reader.flag()? {
                template.references.push(reader.number(4)? + 1)?;
            }
        }
        let chains = reader.below(u32::from(targets) + 1)? as u8;
        let mut protecting = vec![None; usize::from(targets)];
        if chains > 0 {
            for chain in &mut protecting {
                *chain = Some(reader.below(chains.into())? as u8);
            }
            for template in &mut templates {
                for _ in 0..chains {
                    template.chain_steps.push(reader.number(4)? as u8);
                }
            }
        }
        let mut resolutions = Vec::new();
        if reader.flag()? {
            for _ in 0..=templates.last().map_or(0, |last| last.spatial) {
                resolutions.push((reader.number(16)? + 1, reader.number(16)? + 1));
            }
        }
        let decode_targets = (0..targets).map(|target| decode_target(&templates, targets, target));
        let decode_targets =
            decode_targets.zip(protecting).map(|(target, chain)| DecodeTarget { chain, ..target }).collect();
        Ok(Self { template_offset, templates, decode_targets, chains, resolutions })
    }

    fn template(&self, id: u8) -> Result<&Template, Malformed> {
        let place = (id + TEMPLATE_IDS - self.template_offset) % TEMPLATE_IDS;
        self.templates.get(usize::from(place)).ok_or(Malformed("dependency descriptor: a template that is not known"))
    }

    /// A bit for each decode target.
    pub fn all_targets(&self) -> u32 {
        u32::MAX >> (32 - self.decode_targets.len().clamp(1, 32))
    }

    /// The decode target of the highest spatial layer within the limits, and of those the highest temporal; else the
    /// one with the lowest layers.
    pub fn find_target(&self, spatial: u8, temporal: u8) -> u8 {
        let targets = || (0..).zip(&self.decode_targets);
        let fitting = targets().filter(|(_, target)| target.spatial <= spatial && target.temporal <= temporal);
        let layers = |(_, target): &(u8, &DecodeTarget)| (target.spatial, target.temporal);
        fitting.max_by_key(layers).or(targets().min_by_key(layers)).map_or(0, |(place, _)| place)
    }
}

/// Which layer each template belongs to.
fn read_layers(reader: &mut BitReader<'_>) -> Result<Vec<Template>, Malformed> {
    const SAME: u32 = 0;
    const NEXT_TEMPORAL: u32 = 1;
    const NEXT_SPATIAL: u32 = 2;
    let mut templates = Vec::new();
    let (mut spatial, mut temporal) = (0, 0);
    loop {
        templates.push(Template { spatial, temporal, ..Template::default() });
        if templates.len() > usize::from(TEMPLATE_IDS) {
            return Err(Malformed("dependency descriptor: more than 64 templates"));
        }
        match reader.number(2)? {
            SAME => {}
            NEXT_TEMPORAL => temporal += 1,
            NEXT_SPATIAL => (spatial, temporal) = (spatial + 1, 0),
            _ => return Ok(templates),
        }
        if usize::from(spatial) >= MAX_SPATIAL || temporal > MAX_TEMPORAL {
            return Err(Malformed("dependency descriptor: more than 4 spatial or 8 temporal layers"));
        }
    }
}

fn decode_target(templates: &[Template], targets: u8, target: u8) -> DecodeTarget {
    let frames = || templates.iter().filter(|template| template.indications.has(target));
    let is_within = |other: &u8| {
        templates.iter().all(|template| template.indications.has(target) || !template.indications.has(*other))
    };
    DecodeTarget {
        spatial: frames().map(|template| template.spatial).max().unwrap_or(0),
        temporal: frames().map(|template| template.temporal).max().unwrap_or(0),
        within: (0..targets).filter(is_within).fold(0, |within, other| within | 1 << other),
        chain: None,
    }
}

/// The descriptor of one packet's frame. Its places are those in the value that it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DependencyDescriptor {
    pub starts_frame: bool,
    pub ends_frame: bool,
    pub frame_number: u16,
    /// A template structure is attached, which comes with key frames.
    pub has_structure: bool,
    /// The decode targets that are sent from now on, a bit for each; `None` where it does not say.
    pub active: Option<u32>,
    pub spatial: u8,
    pub temporal: u8,
    pub indications: Indications,
    pub references: References,
    /// In bits: where the structure ends, where the rest behind the active decode targets begins, where that ends.
    structure_end: u16,
    rest: u16,
    end: u16,
}

impl DependencyDescriptor {
    /// Whether this packet is the first of a key frame, by the mandatory fields and the flags behind them alone.
    pub fn starts_key_frame(value: &[u8]) -> bool {
        value.first().is_some_and(|first| first & 0x80 != 0) && value.get(3).is_some_and(|flags| flags & 0x80 != 0)
    }

    /// Reads a value by the structure that is attached, which is given too, or else by the one that came before.
    pub fn parse(value: &[u8], known: Option<&Arc<Structure>>) -> Result<(Self, Option<Structure>), Malformed> {
        let mut reader = BitReader::new(value, "dependency descriptor: it ends too early");
        let starts_frame = reader.flag()?;
        let ends_frame = reader.flag()?;
        let template = reader.number(6)? as u8;
        let frame_number = reader.number(16)? as u16;
        let is_extended = value.len() > 3;
        let mut flags = [false; 5];
        if is_extended {
            for flag in &mut flags {
                *flag = reader.flag()?;
            }
        }
        let [has_structure, has_active, own_indications, own_references, own_chains] = flags;
        let attached = if has_structure { Some(Structure::read(&mut reader)?) } else { None };
        let structure = attached.as_ref().or(known.map(Arc::as_ref));
        let structure = structure.ok_or(Malformed("dependency descriptor: its structure is not known"))?;
        let targets = structure.decode_targets.len() as u8;
        let structure_end = reader.place();
        let active = if has_active { Some(reader.number(targets.into())?) } else { None };
        let rest = reader.place();
        let template = structure.template(template)?;
        let mut indications = template.indications;
        if own_indications {
            indications = Indications::read(&mut reader, targets)?;
        }
        let mut references = template.references;
        if own_references {
            references = read_references(&mut reader)?;
        }
        if own_chains {
            for _ in 0..structure.chains {
                reader.number(8)?;
            }
        }
        let (spatial, temporal) = (template.spatial, template.temporal);
        // A value has at most 255 bytes.
        let [structure_end, rest, end] = [structure_end, rest, reader.place()].map(|place| place as u16);
        let descriptor = Self {
            starts_frame,
            ends_frame,
            frame_number,
            has_structure,
            active: active.or(has_structure.then(|| structure.all_targets())),
            spatial,
            temporal,
            indications,
            references,
            structure_end,
            rest,
            end,
        };
        Ok((descriptor, attached))
    }

    /// Writes the value that it was read from anew, with another frame number and with those of the `targets` decode
    /// targets marked active that `active` has. `None` where the result is too long.
    pub fn rewrite(
        &self,
        value: &[u8],
        frame_number: u16,
        active: u32,
        targets: usize,
        out: &mut [u8; MAX_LENGTH],
    ) -> Option<usize> {
        const FLAGS: usize = 24;
        let mut writer = BitWriter::new(out);
        writer.copy(value, 0, 8);
        writer.number(frame_number.into(), 16);
        let is_extended = value.len() > 3;
        writer.flag(self.has_structure);
        writer.flag(true);
        if is_extended {
            writer.copy(value, FLAGS + 2, self.structure_end.into());
        } else {
            writer.number(0, 3);
        }
        writer.number(active, targets as u32);
        writer.copy(value, self.rest.into(), self.end.into());
        writer.finish()
    }
}

/// References that a frame has instead of its template's: each in 4, 8 or 12 bits.
fn read_references(reader: &mut BitReader<'_>) -> Result<References, Malformed> {
    let mut references = References::default();
    loop {
        let size = reader.number(2)?;
        if size == 0 {
            return Ok(references);
        }
        references.push(reader.number(4 * size)? + 1)?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Indication::{Discardable, NotPresent, Required, Switch};

    /// Writes a descriptor as a publisher does.
    struct Written<'a> {
        starts: bool,
        ends: bool,
        template: u8,
        number: u16,
        structure: Option<&'a Structure>,
        active: Option<u32>,
        targets: u8,
        indications: Option<Indications>,
        references: Option<&'a [u16]>,
        chains: Option<&'a [u8]>,
    }

    fn indications(all: &[Indication]) -> Indications {
        let number = |indication: &Indication| match indication {
            NotPresent => 0,
            Discardable => 1,
            Switch => 2,
            Required => 3,
        };
        Indications((0..).zip(all).fold(0, |bits, (target, it)| bits | number(it) << (2 * target)))
    }

    fn write_below(writer: &mut BitWriter<'_>, value: u32, values: u32) {
        let width = u32::BITS - values.leading_zeros();
        let short_ones = (1 << width) - values;
        if value < short_ones {
            writer.number(value, width.saturating_sub(1));
        } else {
            writer.number(value + short_ones, width);
        }
    }

    fn write_structure(writer: &mut BitWriter<'_>, structure: &Structure) {
        let targets = structure.decode_targets.len() as u32;
        writer.number(structure.template_offset.into(), 6);
        writer.number(targets - 1, 5);
        for pair in structure.templates.windows(2) {
            let step = match (pair[1].spatial - pair[0].spatial, pair[1].temporal == pair[0].temporal) {
                (0, true) => 0,
                (0, false) => 1,
                _ => 2,
            };
            writer.number(step, 2);
        }
        writer.number(3, 2);
        for template in &structure.templates {
            (0..targets).for_each(|target| writer.number((template.indications.0 >> (2 * target) & 3) as u32, 2));
        }
        for template in &structure.templates {
            for step in template.references.as_slice() {
                writer.flag(true);
                writer.number(u32::from(*step) - 1, 4);
            }
            writer.flag(false);
        }
        write_below(writer, structure.chains.into(), targets + 1);
        if structure.chains > 0 {
            for target in &structure.decode_targets {
                write_below(writer, target.chain.expect("there are chains").into(), structure.chains.into());
            }
            for template in &structure.templates {
                template.chain_steps.iter().for_each(|step| writer.number((*step).into(), 4));
            }
        }
        writer.flag(!structure.resolutions.is_empty());
        for (width, height) in &structure.resolutions {
            writer.number(width - 1, 16);
            writer.number(height - 1, 16);
        }
    }

    impl Written<'_> {
        fn bytes(&self) -> Vec<u8> {
            let mut out = [0; MAX_LENGTH];
            let mut writer = BitWriter::new(&mut out);
            writer.flag(self.starts);
            writer.flag(self.ends);
            writer.number(self.template.into(), 6);
            writer.number(self.number.into(), 16);
            let flags = [
                self.structure.is_some(),
                self.active.is_some(),
                self.indications.is_some(),
                self.references.is_some(),
                self.chains.is_some(),
            ];
            if flags.contains(&true) {
                flags.into_iter().for_each(|flag| writer.flag(flag));
                self.structure.iter().for_each(|structure| write_structure(&mut writer, structure));
                self.active.iter().for_each(|active| writer.number(*active, self.targets.into()));
                if let Some(Indications(bits)) = self.indications {
                    (0..self.targets).for_each(|target| writer.number((bits >> (2 * target) & 3) as u32, 2));
                }
                for step in self.references.unwrap_or_default() {
                    let size = (16 - (step - 1).leading_zeros()).div_ceil(4).max(1);
                    writer.number(size, 2);
                    writer.number(u32::from(*step) - 1, 4 * size);
                }
                if self.references.is_some() {
                    writer.number(0, 2);
                }
                self.chains.unwrap_or_default().iter().for_each(|step| writer.number((*step).into(), 8));
            }
            let length = writer.finish().expect("descriptors of tests are short");
            out[..length].to_vec()
        }
    }

    fn plain(template: u8, number: u16) -> Written<'static> {
        Written {
            starts: true,
            ends: false,
            template,
            number,
            structure: None,
            active: None,
            targets: 0,
            indications: None,
            references: None,
            chains: None,
        }
    }

    /// L2T2 with both spatial layers needed for the upper one, as the specification's appendix A.10 draws it.
    fn two_by_two(template_offset: u8) -> Structure {
        let template = |spatial, temporal, all: [Indication; 4], steps: &[u16], chain_steps: [u8; 2]| {
            let mut references = References::default();
            steps.iter().for_each(|step| references.push((*step).into()).expect("few"));
            let chain_steps = chain_steps.to_vec();
            Template { spatial, temporal, indications: indications(&all), references, chain_steps }
        };
        let templates = vec![
            template(0, 0, [Switch, Switch, Switch, Switch], &[], [0, 0]),
            template(0, 0, [Switch, Switch, Required, Required], &[4], [4, 3]),
            template(0, 1, [NotPresent, Discardable, NotPresent, Required], &[2], [2, 1]),
            template(1, 0, [NotPresent, NotPresent, Switch, Switch], &[1], [1, 1]),
            template(1, 0, [NotPresent, NotPresent, Switch, Switch], &[4, 1], [1, 1]),
            template(1, 1, [NotPresent, NotPresent, NotPresent, Discardable], &[2, 1], [3, 2]),
        ];
        let decode_targets = [(0, 0, 0b0001, 0), (0, 1, 0b0011, 0), (1, 0, 0b0101, 1), (1, 1, 0b1111, 1)]
            .map(|(spatial, temporal, within, chain)| DecodeTarget { spatial, temporal, within, chain: Some(chain) });
        Structure {
            template_offset,
            templates,
            decode_targets: decode_targets.to_vec(),
            chains: 2,
            resolutions: vec![(320, 180), (640, 360)],
        }
    }

    fn with_structure(structure: &Structure) -> Vec<u8> {
        Written { structure: Some(structure), targets: 4, ..plain(structure.template_offset, 7) }.bytes()
    }

    #[test]
    fn a_structure_is_read_whole() {
        for offset in [0, 13, 62] {
            let structure = two_by_two(offset);
            let value = with_structure(&structure);
            assert!(DependencyDescriptor::starts_key_frame(&value));
            let (descriptor, attached) = DependencyDescriptor::parse(&value, None).unwrap();
            assert_eq!(attached.as_ref(), Some(&structure));
            assert_eq!((descriptor.spatial, descriptor.temporal, descriptor.frame_number), (0, 0, 7));
            assert_eq!(descriptor.active, Some(0b1111));
            for length in 0..value.len() {
                assert!(DependencyDescriptor::parse(&value[..length], None).is_err(), "cut to {length}");
            }
        }
    }

    #[test]
    fn templates_tell_of_frames() {
        let structure = Arc::new(two_by_two(62));
        // The fifth template: 62 + 4 wraps to 2.
        let value = plain(2, 65_535).bytes();
        assert_eq!(value.len(), 3);
        assert!(DependencyDescriptor::parse(&value, None).is_err(), "no structure is known");
        let (descriptor, _) = DependencyDescriptor::parse(&value, Some(&structure)).unwrap();
        assert_eq!((descriptor.spatial, descriptor.temporal), (1, 0));
        assert_eq!(descriptor.references.as_slice(), [4, 1]);
        assert_eq!(
            [0, 1, 2, 3].map(|target| descriptor.indications.get(target)),
            [NotPresent, NotPresent, Switch, Switch]
        );
        assert_eq!(descriptor.active, None);
        assert!(DependencyDescriptor::parse(&plain(4, 1).bytes(), Some(&structure)).is_err(), "a seventh template");
    }

    #[test]
    fn frames_may_depart_from_their_template() {
        let structure = Arc::new(two_by_two(0));
        let own = indications(&[Required, NotPresent, Discardable, Switch]);
        let value = Written {
            active: Some(0b0101),
            targets: 4,
            indications: Some(own),
            references: Some(&[1, 16, 17, 256, 257, 4096]),
            chains: Some(&[200, 3]),
            ..plain(1, 3)
        }
        .bytes();
        let (descriptor, _) = DependencyDescriptor::parse(&value, Some(&structure)).unwrap();
        assert_eq!(descriptor.active, Some(0b0101));
        assert_eq!(descriptor.indications, own);
        assert_eq!(descriptor.references.as_slice(), [1, 16, 17, 256, 257, 4096]);
        let too_many = Written { references: Some(&[1; 9]), ..plain(1, 3) }.bytes();
        assert!(DependencyDescriptor::parse(&too_many, Some(&structure)).is_err());
    }

    #[test]
    fn targets_are_found_by_their_layers() {
        let structure = two_by_two(0);
        for (limit, target) in [((1, 1), 3), ((9, 9), 3), ((1, 0), 2), ((0, 1), 1), ((0, 7), 1), ((0, 0), 0)] {
            assert_eq!(structure.find_target(limit.0, limit.1), target, "{limit:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(value in prop::collection::vec(any::<u8>(), 0..80), offset in 0u8..64) {
            let _ = DependencyDescriptor::parse(&value, None);
            let _ = DependencyDescriptor::parse(&value, Some(&Arc::new(two_by_two(offset))));
        }

        /// Rewriting changes the frame number and the active decode targets, and nothing else.
        #[test]
        fn what_is_rewritten_reads_the_same(
            template in 0u8..6, number: u16, other: u16, attached: bool, was_active in prop::option::of(0u32..16),
            active in 0u32..16, steps in prop::option::of(prop::collection::vec(1u16..4097, 0..8)),
            chains in prop::option::of([any::<u8>(), any::<u8>()]), own: bool,
        ) {
            let structure = Arc::new(two_by_two(9));
            let value = Written {
                structure: attached.then_some(&*structure),
                active: was_active,
                targets: 4,
                indications: own.then(|| indications(&[Required, NotPresent, Discardable, Switch])),
                references: steps.as_deref(),
                chains: chains.as_ref().map(|chains| chains.as_slice()),
                ..plain(9 + template, number)
            }
            .bytes();
            let (before, attached_before) = DependencyDescriptor::parse(&value, Some(&structure)).unwrap();
            let mut out = [0; MAX_LENGTH];
            let length = before.rewrite(&value, other, active, 4, &mut out).unwrap();
            let (after, attached_after) = DependencyDescriptor::parse(&out[..length], Some(&structure)).unwrap();
            prop_assert_eq!(attached_after, attached_before);
            let expected = DependencyDescriptor {
                frame_number: other,
                active: Some(active),
                structure_end: after.structure_end,
                rest: after.rest,
                end: after.end,
                ..before
            };
            prop_assert_eq!(after, expected);
            prop_assert_eq!(after.end - after.rest, before.end - before.rest);
        }
    }
}
