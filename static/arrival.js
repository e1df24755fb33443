// A log-in page sends people back with a token behind the #. It leaves the address here, before anything else is loaded or drawn, and
// the page takes it with `plankArrival()`, once. No module, for those wait.
{
  const KEPT = "login";
  let arrival = null;

  /** Where this tab was when it went to log in, if that is what comes back. A link of another site does not know the state. */
  const begun = (state) => {
    try {
      const { state: known, place, at } = JSON.parse(sessionStorage.getItem(KEPT)) ?? {};
      sessionStorage.removeItem(KEPT);
      return known && known === state && Date.now() - at < 3_600_000 ? place : null;
    } catch {
      return null;
    }
  };

  const take = () => {
    if (!/^#(token|error)=/.test(location.hash)) return;
    const said = new URLSearchParams(location.hash.slice(1));
    const place = begun(said.get("state"));
    history.replaceState(null, "", `${location.pathname}${location.search}${place ?? "#/"}`);
    arrival = { token: place === null ? null : said.get("token"), error: place === null ? "" : (said.get("error_description") ?? said.get("error")), is_ours: place !== null };
  };

  take();
  addEventListener("hashchange", take);
  window.plankArrival = () => {
    const taken = arrival;
    arrival = null;
    return taken;
  };
}
