//! What a mirror does when what it holds is of little use.

use std::sync::Arc;

use boskos_kube::{Collection, Listing, Mirror, ReadError};
use futures_util::{StreamExt as _, stream};
use serde_json::json;

use crate::{
    api_server::{ApiServer, runtime, shared},
    diary::Typed,
    replica::eventually,
    wire::{Fate, Wire},
};

/// A mirror that followed the objects of a namespace for a while, over a wire.
struct Followed {
    wire: Arc<Wire>,
    mirror: Arc<Mirror<Typed>>,
    all: Collection<Typed>,
    namespace: String,
}

impl Followed {
    /// With these objects in it.
    fn begin(api: &ApiServer, prefix: &str, names: &[&str]) -> Self {
        let namespace = api.namespace(prefix);
        let wire = Arc::new(Wire::default());
        // A client's own tasks are on the runtime where it is made.
        let _entered = runtime().enter();
        let over_wire = Collection::new(wire.client(api.client()), &namespace);
        let all = Collection::new(api.client(), &namespace);
        let followed = Self { wire, mirror: Arc::new(Mirror::new(over_wire)), all, namespace };
        followed.create(names.iter().map(|name| (*name).to_owned()).collect());
        followed.follow_until(|_| (followed.mirror.held() == names.len()).then_some(()));
        followed
    }

    fn create(&self, names: Vec<String>) {
        runtime().block_on(stream::iter(names).for_each_concurrent(16, |name| async move {
            self.all.create(&name, json!({"spec": {"type": "t"}, "status": {"state": "free"}})).await.unwrap();
        }));
    }

    /// Follows, until `is_so` of the number of what was heard.
    fn follow_until(&self, mut is_so: impl FnMut(usize) -> Option<()>) {
        let (mirror, heard) = (self.mirror.clone(), Arc::new(parking_lot::Mutex::new(0)));
        let counts = heard.clone();
        let follows = runtime().spawn(async move {
            mirror.keep(|failed| *counts.lock() += usize::from(failed.is_none())).await;
        });
        eventually("it is heard", || is_so(*heard.lock()));
        follows.abort();
        runtime().block_on(follows).unwrap_err();
        self.wire.forget_reads();
    }

    fn list(&self) -> Result<Listing<Typed>, ReadError> {
        runtime().block_on(self.mirror.list())
    }

    /// How many lists of whole objects were asked for, of what all have in common alone, and single objects.
    fn reads(&self) -> (usize, usize, usize) {
        let reads = self.wire.reads();
        let (lists, single): (Vec<_>, Vec<_>) = reads.iter().partition(|read| read.contains("limit="));
        let metas = lists.iter().filter(|read| read.contains("PartialObjectMetadata")).count();
        (lists.len() - metas, metas, single.len())
    }
}

#[test]
fn a_mirror_that_lacks_many_objects_has_all_listed_once_and_reads_a_few_one_by_one() {
    let followed = Followed::begin(shared(), "lacks", &["a", "b"]);
    followed.create((0..256).map(|number| format!("few-{number}")).collect());
    assert_eq!(followed.list().unwrap().items.len(), 258);
    assert_eq!(followed.reads(), (0, 1, 256));
    assert_eq!(followed.mirror.held(), 0, "it is another's now");

    followed.follow_until(|heard| (heard > 0).then_some(()));
    followed.create((0..257).map(|number| format!("many-{number}")).collect());
    assert_eq!(followed.list().unwrap().items.len(), 515);
    assert_eq!(followed.reads(), (1, 1, 0));
    assert_eq!(followed.mirror.held(), 0);
}

#[test]
fn a_mirror_whose_list_fails_holds_what_it_held_for_the_next_attempt() {
    let followed = Followed::begin(shared(), "fails", &["a", "b", "c"]);
    followed.create(vec!["d".to_owned()]);
    // The list, and then the one object that it lacks.
    for request in ["resources?", "resources/d"] {
        followed.wire.rule(request, 0, Fate::Lost);
        assert!(matches!(followed.list(), Err(ReadError::Unreachable(_))), "{request}");
        assert_eq!(followed.mirror.held(), 3, "{request}");
        followed.wire.clear_rules();
        followed.wire.forget_reads();
    }
    assert_eq!(followed.list().unwrap().items.len(), 4);
    assert_eq!(followed.reads(), (0, 1, 1));
}

#[test]
fn a_mirror_does_not_trust_what_it_holds_once_history_went_back() {
    let mut api = ApiServer::start();
    let followed = Followed::begin(&api, "back", &["a", "b"]);
    api.back_up();
    for r#type in ["one", "two", "three"] {
        let patch = format!(r#"{{"spec":{{"type":"{type}"}}}}"#);
        api.kubectl(&["-n", &followed.namespace, "patch", "bres", "a", "--type=merge", "-p", &patch]);
    }
    followed.create((0..20).map(|number| format!("lost-{number}")).collect());
    followed.follow_until(|_| (followed.mirror.held() == 22).then_some(()));
    api.restore();
    let mut items = eventually("it is served again", || followed.list().ok()).items;
    items.sort_by(|one, other| one.name().cmp(other.name()));
    let found: Vec<_> = items.iter().map(|item| (item.name(), item.spec.r#type.as_str())).collect();
    assert_eq!(found, [("a", "t"), ("b", "t")]);
    let (whole, metas, single) = followed.reads();
    assert!(metas > 0, "it was not listed otherwise, as when nothing is held");
    assert_eq!((whole, single), (1, 0));
}
