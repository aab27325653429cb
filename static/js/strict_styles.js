/* Let xterm draw under a strict style-src 'self'.

It writes <style> elements and style attributes, which the policy forbids; style sheets and
properties set through the object model are allowed. So what it writes is passed on that way. */

function adoptedStyle(carrier) {
  const sheet = new CSSStyleSheet();
  const remove = carrier.remove.bind(carrier);
  let text = "";
  Object.defineProperty(carrier, "textContent", {
    get: () => text,
    set: (value) => {
      text = value;
      sheet.replaceSync(value);
    },
  });
  carrier.remove = () => {
    remove();
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((other) => other !== sheet);
  };
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  return carrier;
}

function withoutStyleAttribute(element) {
  const setAttribute = element.setAttribute.bind(element);
  element.setAttribute = (name, value) => {
    if (name === "style") element.style.cssText = value;
    else setAttribute(name, value);
  };
  return element;
}

export function keepStylesStrict() {
  const createElement = document.createElement.bind(document);
  // xterm's documentOverride would be narrower, but parts of it take the global document.
  document.createElement = (name, options) =>
    name === "style"
      ? adoptedStyle(createElement("template"))
      : withoutStyleAttribute(createElement(name, options));
}
