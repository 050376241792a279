//! The words that resources are spoken of with: name, type, state and owner.

use std::{borrow::Borrow, fmt};

use arcstr::ArcStr;
use serde::{Deserialize, Serialize};

use crate::state;

macro_rules! word {
    ($(#[$doc:meta])* $name:ident made by $make:path) => {
        $(#[$doc])*
        ///
        /// Cloning shares the text. One pointer wide: a million resources have four of them each.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(ArcStr);

        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self($make(text))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self($make(&text))
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

word! {
    /// The name of one resource, unique among all types.
    ResourceName made by ArcStr::from
}
word! {
    /// What kind of thing a resource is.
    ResourceType made by ArcStr::from
}
word! {
    /// The state a resource is in: any text; [`crate::state`] has those with a meaning.
    State made by state::text
}
word! {
    /// Who holds a resource. "Nobody" is `None`, never the empty text.
    Owner made by ArcStr::from
}

impl State {
    /// Whether the text is one that the program holds anyway, and needs not be shared.
    pub(crate) fn is_constant(&self) -> bool {
        ArcStr::is_static(&self.0)
    }
}

impl Owner {
    /// The owner as the wire spells it: empty text is nobody.
    #[must_use]
    pub fn from_wire(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self::from(text))
    }
}
