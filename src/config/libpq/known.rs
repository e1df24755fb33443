//! The parameters of libpq 18, and what plank does with each. docs/CONFIGURATION.md has the same list; a test compares them.

/// How a parameter is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Treatment {
    /// It has its effect.
    Taken,
    /// It has no effect, and none is missed: the reason.
    Without(&'static str),
    /// Taken with these values only; the reason for the others.
    Only(&'static [&'static str], &'static str),
    /// Refused, with the reason and what to do.
    Refused(&'static str),
}

use Treatment::{Only, Refused, Taken, Without};

/// A parameter of libpq: its name, its variable, and how it is treated.
pub(super) struct Known {
    pub name: &'static str,
    pub variable: Option<&'static str>,
    pub treatment: Treatment,
}

const fn known(name: &'static str, variable: &'static str, treatment: Treatment) -> Known {
    Known {
        name,
        variable: Some(variable),
        treatment,
    }
}

const fn bare(name: &'static str, treatment: Treatment) -> Known {
    Known {
        name,
        variable: None,
        treatment,
    }
}

const NO_GSS: &str = "plank has no GSSAPI: use a password or a client certificate";
const NO_CRL: &str =
    "plank does not read certificate revocation lists: replace the root certificate instead";
const NO_PASSWORD: &str = "plank asks for no password of a key: write the key without one (openssl pkey -in KEY -out KEY2)";
const NO_OAUTH: &str = "plank has no OAuth: use a password or a client certificate";
const OWN_LIVENESS: &str = "plank notices dead connections by settings of its own";

/// All parameters of libpq 18.
pub(super) const KNOWN: &[Known] = &[
    known("service", "PGSERVICE", Taken),
    known("servicefile", "PGSERVICEFILE", Taken),
    known("host", "PGHOST", Taken),
    known("hostaddr", "PGHOSTADDR", Taken),
    known("port", "PGPORT", Taken),
    known("dbname", "PGDATABASE", Taken),
    known("user", "PGUSER", Taken),
    known("password", "PGPASSWORD", Taken),
    known("passfile", "PGPASSFILE", Taken),
    known("options", "PGOPTIONS", Taken),
    known("application_name", "PGAPPNAME", Taken),
    bare("fallback_application_name", Taken),
    known("connect_timeout", "PGCONNECT_TIMEOUT", Taken),
    known(
        "target_session_attrs",
        "PGTARGETSESSIONATTRS",
        Only(
            &["any", "read-write", "primary"],
            "plank writes, and LISTEN works on a primary only",
        ),
    ),
    known(
        "load_balance_hosts",
        "PGLOADBALANCEHOSTS",
        Only(&["disable", "random"], "libpq has no other values"),
    ),
    known(
        "sslmode",
        "PGSSLMODE",
        Only(
            &[
                "disable",
                "allow",
                "prefer",
                "require",
                "verify-ca",
                "verify-full",
            ],
            "libpq has no other values",
        ),
    ),
    bare("requiressl", Only(&["0", "1"], "libpq has no other values")),
    known("sslrootcert", "PGSSLROOTCERT", Taken),
    known("sslcert", "PGSSLCERT", Taken),
    known("sslkey", "PGSSLKEY", Taken),
    known(
        "sslcertmode",
        "PGSSLCERTMODE",
        Only(
            &["disable", "allow"],
            "plank can't see whether a server has asked for a certificate",
        ),
    ),
    known(
        "sslsni",
        "PGSSLSNI",
        Only(&["0", "1"], "libpq has no other values"),
    ),
    known(
        "sslnegotiation",
        "PGSSLNEGOTIATION",
        Only(&["postgres", "direct"], "libpq has no other values"),
    ),
    known(
        "channel_binding",
        "PGCHANNELBINDING",
        Only(
            &["disable", "prefer", "require"],
            "libpq has no other values",
        ),
    ),
    known(
        "ssl_min_protocol_version",
        "PGSSLMINPROTOCOLVERSION",
        Only(
            &["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"],
            "libpq has no other values",
        ),
    ),
    known(
        "ssl_max_protocol_version",
        "PGSSLMAXPROTOCOLVERSION",
        Only(&["TLSv1.2", "TLSv1.3"], "plank has no TLS below 1.2"),
    ),
    known(
        "client_encoding",
        "PGCLIENTENCODING",
        Only(
            &["UTF8", "utf8", "UTF-8", "utf-8", "auto"],
            "plank sends JSON, which is UTF-8",
        ),
    ),
    known(
        "gssencmode",
        "PGGSSENCMODE",
        Only(&["disable", "prefer"], NO_GSS),
    ),
    known(
        "krbsrvname",
        "PGKRBSRVNAME",
        Without("it is for GSSAPI, which plank has not"),
    ),
    known(
        "gsslib",
        "PGGSSLIB",
        Without("it is for GSSAPI, which plank has not"),
    ),
    known("gssdelegation", "PGGSSDELEGATION", Only(&["0"], NO_GSS)),
    known(
        "sslcompression",
        "PGSSLCOMPRESSION",
        Only(&["0"], "TLS has no compression any more"),
    ),
    bare("keepalives", Without(OWN_LIVENESS)),
    bare("keepalives_idle", Without(OWN_LIVENESS)),
    bare("keepalives_interval", Without(OWN_LIVENESS)),
    bare("keepalives_count", Without(OWN_LIVENESS)),
    bare("tcp_user_timeout", Without(OWN_LIVENESS)),
    known(
        "min_protocol_version",
        "PGMINPROTOCOLVERSION",
        Only(&["3.0"], "plank speaks version 3.0"),
    ),
    known(
        "max_protocol_version",
        "PGMAXPROTOCOLVERSION",
        Only(&["3.0", "3.2", "latest"], "libpq has no other values"),
    ),
    known("sslcrl", "PGSSLCRL", Refused(NO_CRL)),
    known("sslcrldir", "PGSSLCRLDIR", Refused(NO_CRL)),
    bare("sslpassword", Refused(NO_PASSWORD)),
    bare(
        "sslkeylogfile",
        Refused("plank writes no keys of a connection anywhere"),
    ),
    known(
        "requirepeer",
        "PGREQUIREPEER",
        Refused("plank does not look who owns the socket: put it where only PostgreSQL may write"),
    ),
    known(
        "require_auth",
        "PGREQUIREAUTH",
        Refused(
            "plank does not choose: it takes a password, SCRAM with it, or a client certificate; pg_hba.conf says which",
        ),
    ),
    bare(
        "replication",
        Refused("plank reads a table and needs no replication"),
    ),
    bare(
        "scram_client_key",
        Refused("plank needs the password itself"),
    ),
    bare(
        "scram_server_key",
        Refused("plank needs the password itself"),
    ),
    bare("oauth_issuer", Refused(NO_OAUTH)),
    bare("oauth_client_id", Refused(NO_OAUTH)),
    bare("oauth_client_secret", Refused(NO_OAUTH)),
    bare("oauth_scope", Refused(NO_OAUTH)),
];

pub(super) fn find(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name == name)
}
