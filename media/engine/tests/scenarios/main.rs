//! Whole calls in virtual time: scripted clients over a seeded network to one or more shards, a file for each behaviour.

mod support;

mod bad_input;
mod blocked;
mod burst;
mod chaos;
mod clocks;
mod codecs;
mod congestion;
mod consent;
mod equal_lengths;
mod flood;
mod forged_rtcp;
mod ice_restart;
mod key_frame_requests;
mod late_joiner;
mod layers;
mod loss;
mod lossy_sound;
mod mute;
mod nack_storm;
mod odd_streams;
mod overload;
mod path_move;
mod profiles;
mod publisher_feedback;
mod removal;
mod restart;
mod retransmission;
mod scalable;
mod shards;
mod simulcast;
mod sound;
mod statistics;
mod storm;
mod wrap;
