//! What every store guarantees, on the stores that need nothing but this machine.

use std::{path::Path, sync::Arc};

use boskos_server::store::{MemoryStore, SqliteStore, Store};

use crate::{
    store_claims::{Kind, claims_hold_on},
    store_support::options,
};

struct Memory;

impl Kind for Memory {
    const LASTS: bool = false;

    fn open(_dir: &Path) -> Arc<dyn Store> {
        Arc::new(MemoryStore::default())
    }
}

struct Sqlite;

impl Kind for Sqlite {
    fn open(dir: &Path) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(options(dir)).unwrap().store)
    }
}

claims_hold_on! {
    memory: Memory,
    sqlite: Sqlite,
}
