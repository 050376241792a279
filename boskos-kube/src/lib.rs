//! Custom resources as a store, and a Lease as a lock: what a program needs that keeps its truth in
//! Kubernetes objects, on the `kube` crate's client.
//!
//! - [`Access`] says how the API server is reached, and makes the client.
//! - [`Object`] is a type of custom resource; [`Collection`] reads, watches and conditionally
//!   writes the objects of one type in one namespace.
//! - [`Follow`] is a list and then a watch that never ends: it heals cuts and histories that were
//!   compacted (410) by itself. [`Mirror`] holds what it tells, for a list that is cheap when it
//!   matters.
//! - [`Lease`] is one `coordination.k8s.io` Lease, changed by one writer at a time; [`Election`]
//!   leads through it as client-go does; [`Fence`] tells, on a clock that counts suspends, whether
//!   a leader may still write.
//! - [`PodLabels`] moves a label to the leader's pod.
//! - [`install`] puts custom resource definitions in place.
//!
//! Architecture invariants:
//!
//! - Nothing here knows what the objects mean.
//! - No write is unconditional: each names the version that it replaces, or that there is none.
//! - Nothing is retried on the caller's behalf. A [`WriteError`] says whether a write may have
//!   happened.
//! - Only verbs that the caller's rights are likely to have: no patch of Leases or pods, no list or
//!   watch of Leases.

mod access;
mod clock;
mod collection;
mod election;
mod error;
mod fence;
mod follow;
mod install;
mod lease;
mod mirror;
mod object;
mod pod_labels;

pub use self::{
    access::{Access, AccessError, is_in_cluster},
    collection::{Collection, Listing, WRITE},
    election::{Election, Lost, Timing},
    error::{ReadError, WriteError},
    fence::Fence,
    follow::{Follow, News},
    install::{InstallError, Installed, install},
    lease::{Lease, LeaseError},
    mirror::Mirror,
    object::{Definition, Meta, Object, Version},
    pod_labels::{PodLabelError, PodLabels},
};
pub use kube::Client;
