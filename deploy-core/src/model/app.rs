//! The app that is deployed, and the environment it is deployed to.

use super::name::name_type;

name_type! {
    /// What is deployed: one service, one repository, one journal per environment.
    App, "app", "", 64
}

name_type! {
    /// A named overlay of the configuration, such as `production` or `beta`.
    ///
    /// Lock, runs and groups are kept apart per environment.
    Environment, "environment", "", 64
}
