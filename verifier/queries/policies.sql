-- Every row-security policy, spelled.
select format('%s.%s', schemaname, tablename),
       format('%s %s %s to %s using %s check %s', policyname, permissive, cmd,
              array_to_string(array(select unnest(roles) order by 1), ' '), qual, with_check)
from pg_policies
order by 1, 2
