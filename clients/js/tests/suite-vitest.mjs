/** What TanStack DB's suite takes of vitest, by node:test and the package `expect`. */
import { expect as jest } from "expect";
export { after as afterAll, afterEach, before as beforeAll, beforeEach, describe, it, test } from "node:test";

/** That of vitest takes what to say as well. */
export const expect = (value) => jest(value);
