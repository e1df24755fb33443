/** The collections that the suite is given: three tables, whole and on demand. */
import { after, before, describe } from "node:test";
import { BasicIndex, createCollection } from "@tanstack/db";
import { connect } from "plank-client";
import { plankCollectionOptions } from "plank-tanstack-db";
import { generateSeedData } from "./suite/fixtures/seed-data";
import { createCollationTestSuite } from "./suite/suites/collation.suite";
import { createDeduplicationTestSuite } from "./suite/suites/deduplication.suite";
import { createJoinsTestSuite } from "./suite/suites/joins.suite";
import { createLiveUpdatesTestSuite } from "./suite/suites/live-updates.suite";
import { createMutationsTestSuite } from "./suite/suites/mutations.suite";
import { createPaginationTestSuite } from "./suite/suites/pagination.suite";
import { createPredicatesTestSuite } from "./suite/suites/predicates.suite";
import { known, plankWith } from "./support.mjs";

const SQL = `
  create table users (id uuid primary key, name text not null, email text, age integer not null, "isActive" boolean not null,
    "createdAt" timestamptz not null, metadata jsonb, "deletedAt" timestamptz);
  create table posts (id uuid primary key, "userId" uuid not null, title text not null, content text, "viewCount" integer not null,
    "largeViewCount" bigint not null, "publishedAt" timestamptz, "deletedAt" timestamptz);
  create table comments (id uuid primary key, "postId" uuid not null, "userId" uuid not null, text text not null,
    "createdAt" timestamptz not null, "deletedAt" timestamptz);
  select plank.watch('users', writable => true), plank.watch('posts', writable => true), plank.watch('comments', writable => true)`;

const date = (text) => new Date(text);
const PARSE = {
  users: { createdAt: date, deletedAt: date },
  posts: { largeViewCount: BigInt, publishedAt: date, deletedAt: date },
  comments: { createdAt: date, deletedAt: date },
};

describe("TanStack DB's suite for collections", () => {
  let config;
  let client;

  before(async () => {
    const plank = await plankWith(SQL);
    await known(plank, "comments");
    client = connect(`${plank.url}/ws`);
    const seed = generateSeedData();
    const write = (table) => client.table(table);
    for (const table of Object.keys(PARSE)) await write(table).insert(seed[table]);
    const collections = (syncMode) => {
      const of = ([table, parse]) => [
        table,
        createCollection({
          ...plankCollectionOptions({ id: `${table} ${syncMode}`, client, table, parse, syncMode }),
          startSync: syncMode === "eager",
          autoIndex: "eager",
          defaultIndexType: BasicIndex,
        }),
      ];
      return Object.fromEntries(Object.entries(PARSE).map(of));
    };
    config = {
      collections: { eager: collections("eager"), onDemand: collections("on-demand") },
      hasReplicationLag: true,
      mutations: {
        insertUser: (user) => write("users").insert(user),
        updateUser: (id, updates) => write("users").update({ id }, updates),
        deleteUser: (id) => write("users").delete({ id }),
        insertPost: (post) => write("posts").insert(post),
      },
      setup: async () => {},
      teardown: async () => {},
    };
    for (const collection of Object.values<any>(config.collections.eager)) await collection.preload();
  });

  after(async () => {
    const all = Object.values<any>(config.collections).flatMap((each) => Object.values<any>(each));
    await Promise.all(all.map((collection) => collection.cleanup()));
    client.close();
  });

  const getConfig = async () => config;
  createPredicatesTestSuite(getConfig);
  createPaginationTestSuite(getConfig);
  createJoinsTestSuite(getConfig);
  createDeduplicationTestSuite(getConfig);
  createCollationTestSuite(getConfig);
  createMutationsTestSuite(getConfig);
  createLiveUpdatesTestSuite(getConfig);
});
