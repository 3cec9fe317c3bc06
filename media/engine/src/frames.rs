//! How the frames of one forwarded stream are chosen and numbered, by what its packets say of them.

use crate::decode_target::{DecodeTargets, Rewrite as DescriptorRewrite};
use crate::frame::Frame;
use crate::packet::Packet;
use crate::pictures::Pictures;
use crate::selection::Selection;
use crate::vp8::Rewrite as Vp8Rewrite;
use crate::vp9_layers::Vp9Layers;

/// The frames of one stream.
#[derive(Debug)]
pub(crate) enum Frames {
    /// Nothing is known of them: all are sent.
    Plain,
    Vp8(Pictures),
    Described(DecodeTargets),
    Vp9(Vp9Layers),
}

/// What a receiver sees of a packet's frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub(crate) vp8: Option<Vp8Rewrite>,
    pub(crate) descriptor: Option<DescriptorRewrite>,
    /// The packet is the last of what the receiver gets of its picture, whatever the publisher says.
    pub(crate) ends_picture: bool,
}

impl Numbered {
    /// The numbers of each kind that it has, or else those before.
    pub(crate) fn or(self, before: Self) -> Self {
        let (vp8, descriptor) = (self.vp8.or(before.vp8), self.descriptor.or(before.descriptor));
        Self { vp8, descriptor, ends_picture: self.ends_picture }
    }
}

impl Frames {
    /// Begins with a key frame, whose numbers go on after `last`.
    pub(crate) fn new(first: &Packet, last: Numbered, selection: Selection) -> Self {
        match (&first.vp8, &first.frame) {
            (Some(descriptor), _) => Self::Vp8(Pictures::new(descriptor, last.vp8, selection.temporal)),
            (None, Some(Frame::Described(frame))) => {
                let number = last.descriptor.map(|last| last.frame_number);
                Self::Described(DecodeTargets::new(frame, first.timestamp, number, selection))
            }
            (None, Some(Frame::Vp9(_))) => Self::Vp9(Vp9Layers::new(first.timestamp, selection)),
            (None, None) => Self::Plain,
        }
    }

    /// The highest spatial layer that is sent, where the stream may have several.
    pub(crate) fn spatial(&self) -> Option<u8> {
        match self {
            Self::Plain | Self::Vp8(_) => None,
            Self::Described(targets) => Some(targets.spatial()),
            Self::Vp9(layers) => Some(layers.spatial()),
        }
    }

    /// Whether only a key frame leads to the wanted spatial layer; `None` where the stream has but one.
    pub(crate) fn needs_key_frame(&self, selection: Selection) -> Option<bool> {
        match self {
            Self::Plain | Self::Vp8(_) => None,
            Self::Described(targets) => Some(targets.needs_key_frame(selection)),
            Self::Vp9(layers) => Some(layers.needs_key_frame(selection)),
        }
    }

    /// Whether a packet's frame is sent. What says nothing of itself is.
    pub(crate) fn admits(&mut self, packet: &Packet, selection: Selection) -> bool {
        match (self, &packet.vp8, &packet.frame) {
            (Self::Vp8(pictures), Some(descriptor), _) => {
                pictures.admits(descriptor, packet.starts_key_frame, selection.temporal)
            }
            (Self::Described(targets), _, Some(Frame::Described(frame))) => {
                targets.admits(frame, packet.timestamp, selection)
            }
            (Self::Vp9(layers), _, Some(Frame::Vp9(descriptor))) => {
                layers.admits(descriptor, packet.timestamp, selection)
            }
            _ => true,
        }
    }

    /// What a receiver sees of a frame that is sent; `None` for one from before this stream.
    pub(crate) fn number(&mut self, packet: &Packet) -> Option<Numbered> {
        let mut numbered = Numbered::default();
        match (self, &packet.vp8, &packet.frame) {
            (Self::Vp8(pictures), Some(descriptor), _) => numbered.vp8 = Some(pictures.rewrite(descriptor)?),
            (Self::Described(targets), _, Some(Frame::Described(frame))) => {
                let rewrite = targets.rewrite(frame);
                numbered.ends_picture = rewrite.is_top && frame.descriptor.ends_frame;
                numbered.descriptor = Some(rewrite);
            }
            (Self::Vp9(layers), _, Some(Frame::Vp9(descriptor))) => {
                numbered.ends_picture = descriptor.ends_frame && layers.is_top(descriptor, packet.timestamp);
            }
            _ => {}
        }
        Some(numbered)
    }
}
