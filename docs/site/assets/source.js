// Dark or light as on the other pages, which keep it under a key of their own.
{
  const base = new URL(document.currentScript.dataset.up || "./", location.href).pathname.replace(/\/$/, "");
  let dark = matchMedia("(prefers-color-scheme: dark)").matches;
  for (const key of [base + "/.__palette", base + ".__palette"]) {
    try { dark = JSON.parse(localStorage.getItem(key)).color.scheme === "slate"; } catch {}
  }
  document.documentElement.toggleAttribute("data-dark", dark);
}
