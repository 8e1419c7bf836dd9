// Rendered for each request, as the function renders its pages, and smaller than any of those.
export const dynamic = "force-dynamic";

export default function Page() {
  return <h1>It is {new Date().toISOString()}</h1>;
}
