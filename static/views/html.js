/** What every view needs: components that follow signals, parts that are loaded later, and how values are written. */
import { computed, effect, signal } from "@preact/signals-core";
import htm from "htm";
import { Component, h } from "preact";

export const html = htm.bind(h);

/**
 * A component that is drawn again when a signal that it has read changes.
 * @param {(props: any, self: Component) => any} draw
 * @param {{mount?: Function, update?: Function, unmount?: Function}} [moments] Called with props and component.
 */
export const live = (draw, { mount, update, unmount } = {}) =>
  class extends Component {
    /** For the element that it draws. */
    root = {};
    render(props) {
      let drawn;
      let is_first = true;
      this.stop?.();
      this.stop = effect(() => {
        if (is_first) drawn = draw(props, this);
        else this.setState({});
        is_first = false;
      });
      return drawn;
    }
    componentDidMount() {
      mount?.(this.props, this);
    }
    componentDidUpdate() {
      update?.(this.props, this);
    }
    componentWillUnmount() {
      this.stop();
      unmount?.(this.props, this);
    }
  };

/** Now, in ms since 1970, twice a second: fine enough for a countdown. */
export const now = signal(Date.now());
setInterval(() => (now.value = Date.now()), 500);

/** Ages of rows change their words rarely. */
export const now_coarse = computed(() => Math.floor(now.value / 10_000) * 10_000);

const format = (options) => new Intl.DateTimeFormat(undefined, options).format;

/** 14:02:11 */
export const clock = format({ hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

const full = format({ dateStyle: "medium", timeStyle: "medium" });
const day = format({ dateStyle: "medium" });

/** Date and time in full, for tooltips. */
export const inFull = (text) => full(Date.parse(text));

/** 12,345 */
export const amount = new Intl.NumberFormat().format;

/** 1 item, 2 items */
export const counted = (number, noun) => `${amount(number)} ${noun}${number === 1 ? "" : "s"}`;

/** How long ago, in as few letters as a narrow column needs. The two clocks may differ: the future is "just now". */
export function ago(text, now_ms) {
  const at_ms = Date.parse(text);
  const minutes = Math.floor((now_ms - at_ms) / 60_000);
  const hours = Math.floor(minutes / 60);
  if (minutes < 1) return "just now";
  if (hours < 1) return `${minutes} min ago`;
  if (hours < 24) return `${hours} h ago`;
  return hours < 168 ? `${Math.floor(hours / 24)} d ago` : day(at_ms);
}

export const STATUSES = ["open", "active", "done"];
export const DEEDS = { insert: "added", update: "changed", delete: "deleted", truncate: "deleted" };

export const titled = (word) => word[0].toUpperCase() + word.slice(1);

/** A style sheet beside the page; it has no effect when it is there already. */
export function style(path) {
  if (document.querySelector(`link[href="${path}"]`)) return undefined;
  return new Promise((resolve, reject) => {
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: path, onload: resolve });
    link.onerror = () => (link.remove(), reject());
    document.head.append(link);
  });
}

/**
 * A part of the page that is loaded when it is first needed, with its style sheet.
 * @param {() => Promise<{default: any}>} load
 * @param {string} [sheet]
 */
export function lazy(load, sheet) {
  let Part;
  const fetch = (_, self) =>
    Promise.all([load(), sheet && style(sheet)]).then(
      ([module]) => self.setState({ failed: ((Part = module.default), false) }),
      () => self.setState({ failed: true }),
    );
  const draw = (props, self) =>
    Part
      ? html`<${Part} ...${props} />`
      : self.state.failed
        ? html`<p class="nothing" role="alert">This part of the page can't be loaded: the server does not answer.
            <button type="button" class="quiet" onClick=${() => fetch(props, self)}>Try again</button></p>`
        : html`<p class="nothing" aria-busy="true">Loading</p>`;
  return live(draw, { mount: (props, self) => Part ?? fetch(props, self) });
}
