//! Random policies, and what they say of a row.

use serde_json::Value;

pub const OPS: [&str; 4] = ["select", "insert", "update", "delete"];

/// The row of the first moment of these policies has this number, negative: who sees it is under them.
type World = i64;

struct Policy {
    /// Within `and=(...)`.
    text: &'static str,
    holds: fn(sub: &str, tenant: i64, row: &Value) -> bool,
}

fn is_owner(sub: &str, row: &Value) -> bool {
    row["owner"] == sub
}

fn is_of(tenant: i64, row: &Value) -> bool {
    row["tenant"] == tenant
}

static POLICIES: [Policy; 9] = [
    Policy {
        text: "id.gt.0",
        holds: |_, _, _| true,
    },
    Policy {
        text: "owner.eq.{sub}",
        holds: |sub, _, row| is_owner(sub, row),
    },
    Policy {
        text: "tenant.eq.{claim.tenant}",
        holds: |_, tenant, row| is_of(tenant, row),
    },
    Policy {
        text: "or(owner.eq.{sub},tenant.eq.{claim.tenant})",
        holds: |sub, tenant, row| is_owner(sub, row) || is_of(tenant, row),
    },
    Policy {
        text: "owner.neq.{sub}",
        holds: |sub, _, row| !is_owner(sub, row),
    },
    Policy {
        text: "not.and(owner.eq.{sub},tenant.eq.{claim.tenant})",
        holds: |sub, tenant, row| !(is_owner(sub, row) && is_of(tenant, row)),
    },
    Policy {
        text: "tenant.in.({claim.tenant},3)",
        holds: |_, tenant, row| is_of(tenant, row) || is_of(3, row),
    },
    Policy {
        text: "owner.eq.{claim.missing}",
        holds: |_, _, _| false,
    },
    Policy {
        text: "body.like.{sub}*",
        holds: |sub, _, row| row["body"].as_str().unwrap().starts_with(sub),
    },
];

/// The policies of a role: for each op one of [`POLICIES`], or none, which allows nothing.
#[derive(Clone, Default)]
pub struct Rules {
    world: World,
    of: [Option<usize>; 4],
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |op: &Option<usize>| op.map_or("nothing", |i| POLICIES[i].text);
        f.debug_map()
            .entries(OPS.iter().zip(self.of.iter().map(text)))
            .finish()
    }
}

impl Rules {
    pub fn random(random: &mut fastrand::Rng, world: World) -> Self {
        // Much is allowed: else little would be written.
        let mut one = || match random.u8(..10) {
            0 => None,
            1..=3 => Some(0),
            _ => Some(random.usize(..POLICIES.len())),
        };
        let mut of = [one(), one(), one(), one()];
        of[0].get_or_insert(7);
        Self { world, of }
    }

    /// Puts the policy of an op in force.
    pub fn statement(&self, role: &str, op: &str) -> String {
        let Some(policy) = self.of(op) else {
            return format!("select plank.deny('docs', '{role}', '{{{op}}}')");
        };
        let text = policy.text;
        let rows = match op {
            // A claim that is missing shows no row at all, and the first one has to be seen.
            "select" if text.contains("missing") => format!("id=eq.{}", -self.world),
            "select" => format!("or=(id.eq.{},and(id.gt.0,{text}))", -self.world),
            _ => format!("and=({text})"),
        };
        format!("select plank.allow('docs', '{role}', '{rows}', '{{{op}}}')")
    }

    /// Whether an op is allowed with a row.
    pub fn allows(&self, op: &str, sub: &str, tenant: i64, row: &Value) -> bool {
        let id = row["id"].as_i64().unwrap();
        let holds = |policy: &Policy| (policy.holds)(sub, tenant, row);
        match op {
            "select" if id <= 0 => id == -self.world,
            _ => self.of(op).is_some_and(holds),
        }
    }

    fn of(&self, op: &str) -> Option<&'static Policy> {
        let at = OPS.iter().position(|one| *one == op).unwrap();
        self.of[at].map(|i| &POLICIES[i])
    }
}
