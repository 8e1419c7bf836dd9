export default {
  output: "standalone",
  // The default is the folder of the outermost package-lock.json, which is this project's.
  outputFileTracingRoot: import.meta.dirname,
  turbopack: { root: import.meta.dirname },
};
