// What a page owes to people who can't see it, or not well, or use no mouse (WCAG 2.2, A and AA, as far as a script can tell).
() => {
  const wrong = [];
  const told = (node) => `${node.tagName.toLowerCase()}${node.id ? `#${node.id}` : ""} "${(node.textContent ?? "").trim().slice(0, 40)}"`;
  const seen = (node) => { const box = node.getBoundingClientRect(); return box.width > 0 && box.height > 0 && getComputedStyle(node).visibility !== "hidden"; };
  const name = (node) => node.getAttribute("aria-label") || (node.id && document.querySelector(`label[for="${node.id}"]`)?.textContent) || node.closest("label")?.textContent || node.title || node.textContent?.trim();

  if (!document.documentElement.lang) wrong.push("the page has no language");
  if (!document.title) wrong.push("the page has no title");
  if (!document.querySelector("main")) wrong.push("the page has no main part");
  const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) wrong.push(`id ${id} stands twice`);
  for (const node of document.querySelectorAll("a[href],button,input,select,textarea,summary,iframe,[tabindex='0']")) if (seen(node) && !name(node)) wrong.push(`no name: ${told(node)}`);
  for (const node of document.querySelectorAll("svg:not([aria-hidden=true])")) if (!node.getAttribute("aria-label")) wrong.push(`a picture without words: ${node.outerHTML.slice(0, 80)}`);
  for (const node of document.querySelectorAll("th")) if (!node.getAttribute("scope")) wrong.push(`a heading of a table without its scope: ${told(node)}`);
  let level = 0;
  for (const node of document.querySelectorAll("h1,h2,h3,h4")) { const own = Number(node.tagName[1]); if (own > level + 1 && level) wrong.push(`heading skips a level: ${told(node)}`); level = own; }
  for (const node of document.querySelectorAll("*")) {
    const style = getComputedStyle(node);
    if (seen(node) && /(auto|scroll)/.test(style.overflowX) && node.scrollWidth > node.clientWidth + 1 && node.tabIndex < 0 && !node.querySelector("a,button,input") && node !== document.documentElement && node !== document.body) wrong.push(`scrolls, and no key reaches it: ${told(node)}`);
  }

  const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => { paint.clearRect(0, 0, 1, 1); paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1); const [r, g, b, a] = paint.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255]; };
  const luminance = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((v) => { const c = v / 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; }); return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
  const behind = (node) => { for (let at = node; at; at = at.parentElement) { const colour = rgb(getComputedStyle(at).backgroundColor); if (colour[3] > 0.99) return colour; } return [255, 255, 255, 1]; };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const low = new Map();
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !node || !seen(node) || node.closest("[disabled],noscript,.skip,option")) continue;
    const style = getComputedStyle(node), svg = node.namespaceURI.endsWith("svg");
    const [one, two] = [luminance(rgb(svg ? style.fill : style.color)), luminance(behind(node))].sort((a, b) => b - a);
    const contrast = (one + 0.05) / (two + 0.05), size = parseFloat(style.fontSize);
    if (contrast < (size >= 24 || (size >= 18.6 && Number(style.fontWeight) >= 700) ? 3 : 4.5)) low.set(told(node), contrast.toFixed(2));
  }
  for (const [where, contrast] of low) wrong.push(`contrast ${contrast}: ${where}`);
  return wrong;
}
