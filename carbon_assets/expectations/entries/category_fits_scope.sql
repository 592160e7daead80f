-- Scope 3 has one of fifteen categories, the others have none.
select stream, entry_id::text, scope, category
from {batch}
where (scope = 3) is distinct from coalesce(category between 1 and 15, false) or (scope <> 3 and category is not null)
