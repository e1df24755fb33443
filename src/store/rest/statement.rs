//! The statement of a write, as a function of the database runs it or as it runs alone.

/// A statement and its parameters; fewer rows than `expected` are an error.
pub(super) struct Statement {
    /// What comes before `select`.
    pub with: String,
    /// The columns: how many rows were written, refused, there before; the rows, keys and entity tag.
    pub columns: [String; 6],
    pub params: Vec<String>,
    pub expected: i64,
}

impl Statement {
    /// For a function that looks at what comes out.
    pub fn within(&self) -> String {
        format!("{} select {}", self.with, self.columns.join(", "))
    }

    /// The same as one statement that needs no boundary, and is held against what it may do before it commits. `$1` are the parameters,
    /// the others as `Prepared::params_alone` says. `newest`: what gives the newest transaction of the log.
    pub fn alone(&self, newest: &str) -> String {
        let [affected, refused, existed, rows, keys, tag] = &self.columns;
        // In this order: triggers begin with the first row, and plank.deny waits for what was looked at before it.
        format!(
            "{}, o as materialized (select pg_catalog.set_config('search_path', $2, true), \
             case when $10 is not null then pg_catalog.set_config('plank.traceparent', $10, true) end, \
             plank.hold($5, $6, $7, $8) as held, {affected} as affected, {refused} as refused, \
             {existed} as existed, {rows} as rows, {keys} as keys, {tag} as tag) \
             select o.affected, o.existed, o.rows, o.keys, o.tag, pg_catalog.pg_current_snapshot()::pg_catalog.text, \
             pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text, {newest}, plank.identity(), \
             plank.judge(o.held, o.affected, o.refused, $3, $4, $9, pg_catalog.cardinality(o.rows), \
             pg_catalog.array_position(o.rows, null) is not null) from o",
            self.with
        )
    }
}
