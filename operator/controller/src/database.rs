//! How a location reaches its database: a Secret that the operator makes for its own, and that has to be there for everybody else's.

use std::collections::BTreeMap;

use tidelog_api::{EventLog, Location};
use tidelog_build::{DatabaseSecret, Names, PASSWORD_KEY, URI_KEY, database_secret, database_uri};

use crate::context::Context;
use crate::error::Error;
use crate::secret;

/// Bytes of randomness in a password.
const PASSWORD_BYTES: usize = 24;

/// Sees to it that the Secret is there. A refusal names what is missing.
pub(crate) async fn provide(
    context: &Context,
    log: &EventLog,
    location: &Location,
) -> Result<(), Error> {
    let DatabaseSecret { name, key, is_ours } = database_secret(log, location);
    if !is_ours {
        let found = secret::find(context, log, &name).await?;
        let Some(found) = found else {
            let why = format!("Secret {name} with the URI of the database does not exist");
            return Err(Error::refused("SecretNotFound", why));
        };
        let uri = secret::text(&found, &key)
            .map(str::trim)
            .unwrap_or_default();
        if !uri.starts_with("postgres://") && !uri.starts_with("postgresql://") {
            let why = format!(
                "key {key} of Secret {name} holds no URI of the form postgres://USER:PASSWORD@HOST:PORT/DATABASE"
            );
            return Err(Error::refused("SecretInvalid", why));
        }
        return Ok(());
    }
    let namespace = log.metadata.namespace.clone().unwrap_or_default();
    let names = Names::new(
        log.metadata.name.as_deref().unwrap_or_default(),
        &location.name,
    );
    let make = || {
        let random: [u8; PASSWORD_BYTES] = rand::random();
        let password: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let uri = database_uri(&names, &namespace, &password);
        Ok(BTreeMap::from([(PASSWORD_KEY, password), (URI_KEY, uri)]))
    };
    // Nobody owns it: the volume outlives the log, and knows this password.
    secret::keep(context, log, (&names, "postgres"), &name, ("Opaque", make)).await?;
    Ok(())
}
