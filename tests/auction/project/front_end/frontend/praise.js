// A module that is loaded on demand.

export const praise = (name) => `What a ${name}!`;
