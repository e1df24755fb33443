/** What this browser keeps of how it is looked at: widths, panes, the zone. A browser that keeps nothing works as well. */

export function kept(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(`plank ${name}`)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function keep(name, value) {
  try {
    localStorage.setItem(`plank ${name}`, JSON.stringify(value));
  } catch {
    // It holds as long as the page.
  }
}
