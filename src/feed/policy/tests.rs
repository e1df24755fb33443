//! What a policy shows to whom.

use serde_json::{Map, json};

use super::*;
use crate::feed::filter::row::Row;

struct Who(Map<String, Value>);

impl Claims for Who {
    fn role(&self) -> &str {
        self.0["role"].as_str().unwrap_or_default()
    }

    fn claim(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

fn who(claims: Value) -> Who {
    let Value::Object(mut claims) = claims else {
        panic!("an object")
    };
    claims.insert("role".into(), json!("viewer"));
    Who(claims)
}

fn table(rows: &str) -> Table {
    let column = |(name, kind): (&str, &str)| json!({"name": name, "type": kind, "base": kind, "collation": "bytes", "letters": "ascii"});
    let columns = [
        ("id", "integer"),
        ("owner", "text"),
        ("tenant", "integer"),
        ("data", "jsonb"),
    ];
    serde_json::from_value(json!({
        "rel": 1, "schema": "public", "name": "t", "quoted": "public.t", "since": 1, "key": ["id"], "old_rows": true,
        "narrowed": false, "columns": columns.map(column),
        "policies": [{"role": "viewer", "op": "select", "rows": rows, "since": 7}],
    }))
    .unwrap()
}

fn sees(rows: &str, claims: Value, row: &Value) -> bool {
    let table = table(rows);
    let grant = table.grant(&who(claims), Right::Select).unwrap().unwrap();
    let text = row.to_string();
    let row = Row::read(&table, &text).unwrap();
    grant.rows.unwrap().passes(&row).unwrap()
}

#[test]
fn a_claim_is_a_value_and_never_a_part_of_the_filter() {
    let row = |owner: &str| json!({"id": 1, "owner": owner, "tenant": 7, "data": {}});
    assert!(sees("owner=eq.{sub}", json!({"sub": "ann"}), &row("ann")));
    assert!(!sees("owner=eq.{sub}", json!({"sub": "ann"}), &row("bob")));
    for sub in [
        "ann),or=(tenant.gt.0",
        "{claim.x}",
        "ann&tenant=eq.7",
        "*",
        "",
        "null",
    ] {
        assert!(
            !sees(
                "owner=eq.{sub}",
                json!({"sub": sub, "x": "bob"}),
                &row("bob")
            ),
            "{sub}"
        );
        assert!(
            sees("owner=eq.{sub}", json!({"sub": sub, "x": "bob"}), &row(sub)),
            "{sub}"
        );
    }
    assert!(sees(
        "owner=eq.team-{claim.team}",
        json!({"team": 5}),
        &row("team-5")
    ));
}

#[test]
fn a_pattern_takes_a_claim_literally() {
    let row = |owner: &str| json!({"id": 1, "owner": owner, "tenant": 7, "data": {}});
    assert!(sees(
        "owner=like.{claim.p}*",
        json!({"p": "a_"}),
        &row("a_b")
    ));
    assert!(!sees(
        "owner=like.{claim.p}*",
        json!({"p": "a_"}),
        &row("axb")
    ));
    assert!(!sees(
        "owner=like.{claim.p}*",
        json!({"p": "%"}),
        &row("bob")
    ));
    let table = table("owner=like.{claim.p}*");
    assert!(table.grant(&who(json!({"p": "*"})), Right::Select).is_err());
}

#[test]
fn a_list_has_all_that_a_claim_lists() {
    let row = |tenant: i32| json!({"id": 1, "owner": "x", "tenant": tenant, "data": {}});
    let claims = || json!({"tenants": [7, "8"], "one": 9});
    let rows = "tenant=in.({claim.tenants},{claim.one})";
    for tenant in [7, 8, 9] {
        assert!(sees(rows, claims(), &row(tenant)));
    }
    assert!(!sees(rows, claims(), &row(6)));
    assert!(!sees(rows, json!({"tenants": [], "one": 9}), &row(7)));
    assert!(
        !sees(rows, json!({"tenants": [[7]], "one": 7}), &row(7)),
        "a list in a list"
    );
}

#[test]
fn what_is_missing_shows_no_row() {
    let row = json!({"id": 1, "owner": "bob", "tenant": 7, "data": {}});
    for rows in [
        "owner=neq.{claim.x}",
        "owner=not.eq.{claim.x}",
        "or=(tenant.eq.7,owner.eq.{claim.x})",
        "not.and=(owner.eq.{claim.x})",
        "owner=eq.{claim.a.b}",
    ] {
        for claims in [
            json!({}),
            json!({"x": null}),
            json!({"x": {}}),
            json!({"x": ["bob"]}),
        ] {
            assert!(!sees(rows, claims.clone(), &row), "{rows} {claims}");
        }
    }
}

#[test]
fn a_policy_with_a_mistake_shows_no_row_and_says_why() {
    let row = json!({"id": 1, "owner": "bob", "tenant": 7, "data": {}});
    for (rows, part) in [
        ("ownr=eq.bob", "no such column"),
        ("owner=bob", "operator"),
        ("tenant=eq.x", "x"),
        ("owner=eq.{user}", "there is no {user}"),
        ("owner=eq.{claim.}", "there is no {claim.}"),
        ("owner=neq.{ sub }", "brace"),
        ("owner=neq.{sub", "brace"),
        ("owner=neq.{claim.a b}", "brace"),
        ("tenant=like.{sub}*", "like is for text"),
        ("tenant=in.({claim.t},abc)", "abc"),
        ("data=eq.{sub}", "can't be compared"),
        ("data=eq.1", "can't be compared"),
    ] {
        assert!(
            !sees(rows, json!({"sub": "bob", "user": "bob"}), &row),
            "{rows}"
        );
        let table = table(rows);
        let why = table.policies[0].check(&table).unwrap_err();
        assert!(why.contains(part), "{rows}: {why}");
    }
}

#[test]
fn a_claim_that_does_not_fit_is_its_owners_trouble() {
    let table = table("tenant=eq.{claim.tenant}");
    let broken = table.grant(&who(json!({"tenant": "x"})), Right::Select);
    assert_eq!(broken.unwrap_err().column, "tenant");
    assert!(
        table
            .grant(&who(json!({"tenant": 7})), Right::Select)
            .unwrap()
            .is_some()
    );
}

#[test]
fn nothing_granted_is_nothing() {
    let table = table("owner=eq.{sub}");
    assert_eq!(table.grant(&who(json!({})), Right::Insert), Ok(None));
    let mut other = who(json!({"sub": "bob"}));
    other.0.insert("role".into(), json!("Viewer"));
    assert_eq!(table.grant(&other, Right::Select), Ok(None));
}
