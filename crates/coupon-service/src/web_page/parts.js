// What this project's pages have in common. Data becomes text, never markup.

export const by = (id) => document.getElementById(id);
export const count = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Text that has not changed is left alone, so that nobody is told it twice. */
export function write(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

/** Has a list as many children as there are items: more of them made, or the last ones removed. */
export function fit(list, items, make) {
  while (list.children.length < items.length) list.append(make());
  while (list.children.length > items.length) list.lastElementChild.remove();
}

/** Shows what is wrong beside the field it is about; the rest goes to a line of its own. */
export function complain(form, elsewhere, errors) {
  for (const field of form.querySelectorAll("[data-field]")) field.removeAttribute("aria-invalid");
  for (const place of form.querySelectorAll(".wrong")) place.textContent = "";
  const rest = [];
  let first = null;
  for (const { field, message } of errors) {
    const at = [...form.querySelectorAll("[data-field]")].find((input) => input.dataset.field === field);
    if (!at) {
      rest.push(field ? `${field}: ${message}` : message);
      continue;
    }
    at.setAttribute("aria-invalid", "true");
    const place = by(`wrong-${at.id}`);
    place.textContent = [place.textContent, message].filter(Boolean).join("; ");
    first ??= at.matches("fieldset") ? at.querySelector("input") : at;
  }
  elsewhere.textContent = rest.join(" ");
  first?.focus();
}
