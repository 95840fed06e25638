"use strict";

// Elements. Data from outside (addresses, faults, names of tools) only ever becomes text. A new drawing is compared with the
// present one, so that focus, selection and scrolling stay.

const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

/** An element with these attributes (`share` is a bar's length, 0 to 1) and children; a string is text, null is nothing. */
function make(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same of SVG. */
function draw(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name === "share") element.style.setProperty("--share", Math.max(0, Math.min(1, value)).toFixed(3));
    else if (name === "expected") element.style.setProperty("--expected", Math.max(0, Math.min(1, value)).toFixed(3));
    else if (value != null) element.setAttribute(name, value);
  }
  for (const child of children.flat()) if (child != null && child !== false) element.append(child);
  return element;
}

/** Make `old` equal to `fresh`, keeping the elements that are there. */
function update(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  const kept = old.dataset.keep?.split(" ") ?? []; // attributes that the reader of the page changes
  for (const { name } of [...old.attributes]) if (name !== "style" && !kept.includes(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) {
    if (name !== "style" && !kept.includes(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  if (old.style.cssText !== fresh.style.cssText) old.style.cssText = fresh.style.cssText;
  updateChildren(old, [...fresh.childNodes]);
}

function updateChildren(parent, fresh) {
  const keyed = new Map([...parent.children].filter((child) => child.dataset.key).map((child) => [child.dataset.key, child]));
  let at = parent.firstChild;
  for (const next of fresh) {
    const key = next.dataset?.key;
    const same = key ? keyed.get(key) : at?.nodeName === next.nodeName && !at.dataset?.key ? at : undefined;
    if (!same || same.nodeName !== next.nodeName) {
      parent.insertBefore(next, at);
      continue;
    }
    if (same === at) at = at.nextSibling;
    else parent.insertBefore(same, at);
    update(same, next);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}
