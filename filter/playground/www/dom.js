/** The element of this id. */
export const at = (id) => document.getElementById(id);

/** An element with properties and children; texts stay texts. */
export function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

/** Sets a text only if it is another: what is read aloud is not read twice. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = text === '' && element.classList.contains('aside');
}
