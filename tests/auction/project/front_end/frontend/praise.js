// A module that is loaded when it is needed.

export const praise = (name) => `What a ${name}!`;
