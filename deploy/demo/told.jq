# Log lines of the daemons as sentences; what tells nothing of a resource is left out.
def short: if length == 36 then .[:8] else . end;
# NAME from OWNER, NAME from OWNER
def taken: split(", ") | map(split(" from ") | .[0] |= short | join(" from ")) | join(", ");
def sentence:
  if .msg == "taken back" then "takes \(.resources | taken): not heard of for too long"
  elif .msg == "cleaning" then "cleans \(.name)"
  elif .msg == "free" then "has cleaned \(.name): free again"
  elif .msg == "not cleaned" then "failed to clean \(.name), and will try again"
  elif .msg == "made" then "constructed cluster \(.name | short)"
  elif .msg == "not made" then "did not construct cluster \(.name | short): \(.error)"
  elif .msg == "taken apart" then "tore down cluster \(.name | short), expired; accounts given back: \(.parts)"
  elif .level == "info" then empty
  else .msg end;
fromjson? | (.component | ltrimstr("boskos-") + "        ")[:8] as $who
| sentence | "\(now | strflocaltime("%T"))  \($who) \(.)"
