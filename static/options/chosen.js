// Reads what is chosen in a form of options, by the names of the API.

// Returns the fields of a form. They have the same names as the options of the API.
export function optionFields(form) {
  return Array.from(form.elements).filter(({ name, type }) => name && !["file", "hidden"].includes(type));
}

// Returns the chosen options. Empty ones are named, too, because the server would otherwise take what the account
// prefers. The list `engine_model` stands for two options.
export function chosenOptions(form) {
  const chosen = {};
  for (const field of optionFields(form)) {
    const { name, value } = field;
    if (field.type === "checkbox" && !field.checked) {
      // A form does not send a box that is not ticked, and the default may be yes.
      chosen[name] = value === "true" ? "false" : "";
    } else if (name.endsWith("engine_model")) {
      const before = name.slice(0, -"engine_model".length);
      const [engine, model = ""] = value.split(/\/(.*)/s);
      chosen[`${before}engine`] = engine;
      chosen[`${before}model`] = model;
    } else {
      chosen[name] = value;
    }
  }
  return chosen;
}
