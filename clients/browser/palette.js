/** The style sheet's colours for what is drawn on a canvas. */

const NAMES = ["text", "muted", "line", "line-soft", "surface", "raised", "up", "down", "warn", "accent"];

/** Return the colours that the custom properties of these names have in the theme that is shown, such as "rgb(8, 122, 83)". */
export function readPalette() {
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const palette = {};
  for (const name of NAMES) {
    // The property itself is the text `light-dark(…)`; a colour made of it is what that means.
    probe.style.color = `var(--${name})`;
    palette[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return palette;
}

/** Return a colour as read above with an opacity from 0 to 1. */
export function translucent(color, opacity) {
  return color.replace(/^rgb\(/, "rgba(").replace(/\)$/, `, ${opacity})`);
}
