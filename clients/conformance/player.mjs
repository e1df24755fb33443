/** A client in a process of its own: commands go in and reports come out, one JSON object a line. README.md lists them. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { Queue } from "./queue.mjs";

/** For a player to begin, on a machine that is busy. */
const READY_MAX_MS = 60_000;

export class Player {
  /** Reports by what they are about: a subscription or a write by its name, `phase`, `held`. */
  #reports = new Map();
  #child;
  /** Why it is not there any more. */
  ended = null;

  constructor([program, ...args], environment = {}) {
    this.#child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...environment } });
    let said = "";
    this.#child.stderr.setEncoding("utf8").on("data", (text) => (said = (said + text).slice(-2_000)));
    this.#child.stdin.on("error", () => {});
    this.#child.on("error", ({ message }) => (this.ended = message));
    this.#child.on("exit", (code, signal) => (this.ended = `the player has ended (${signal ?? code})\n${said}`));
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      const report = JSON.parse(line);
      this.reports(report.on).put(report);
    });
  }

  /** Until it reads commands. */
  async ready() {
    if (!(await this.reports("ready").next(READY_MAX_MS))) throw new Error(this.ended ?? `the player is not ready within ${READY_MAX_MS / 1000} s`);
    return this;
  }

  reports(name) {
    if (!this.#reports.has(name)) this.#reports.set(name, new Queue());
    return this.#reports.get(name);
  }

  tell(command) {
    if (command.do === "connect") this.#reports.clear();
    this.#child.stdin.write(`${JSON.stringify(command)}\n`);
  }

  stop() {
    this.#child.kill("SIGKILL");
  }
}
