"""Addresses as people write them in some forty countries, whole: from the house to the country.

A street is told by its kind (`Street`, `rue`, `-straße`, `utca`), by a flat or by what follows it:
a postal code and a town. What is adjacent belongs to it, in one line or several.

Source: USPS Publication 28, appendices C1 and C2 (street suffixes, units); Universal Postal Union,
Postal addressing systems, https://www.upu.int/en/postal-solutions/programmes-services/addressing-solutions
(the order of parts and the form of postal codes, by country).
"""

from __future__ import annotations

from guardrail.detection.patterns import Rule, Scope, Validator
from guardrail.detection.wording import one_of

_SHORT = one_of(
    (
        "de la le les del dels della dello delle dei degli di da do dos das du des der den dem im "
        "ob "
        "bei sur sous upon the of nad pod pri na v los las el van von ter ten am lo al ao lès lez "
        "aan "
        "het op bana kralja kneza svetog generała księdza ks. gen. św. sv. dr an"
    ).split(),
    any_case=False,
    dotted=True,
)
_LINK = (
    r"(?:\p{Ll}{1,3}|upon|sous|d(?:ell[aeo]|egli|els))"
    r"(?<!\b(?:in|at|on|to|by|or|is|as|and|und|for|ab|bis|mit|y|e|i|a|but|en|et|ou|och|og|ja|od))"
)
_WORD = r"\p{Lu}[\p{L}\p{M}'’-]{0,34}(?<=[\p{L}\p{M}])(?![\p{L}\p{M}\d])"
_OTHER = (
    "Tel|Telefon|Telephone|Phone|Fax|Email|Mail|E-Mail|Mobile|Mobil|Dear|Best|Regards|Thank|Thanks|"
    "Please|Attn|Date|Name|Kind|Sehr|Hi|Hello|This|It|He|She|We|They|You|My|Our|If|But|And|Born|"
    "Age|"
    "DOB|IBAN|SSN|VAT"
)
_TOWN = (
    rf"(?:\p{{L}}{{1,3}}[.'’][ ]?)?{_WORD}(?<!\b(?:{_OTHER}))(?:\.\p{{Lu}}\b\.?)?"
    rf"(?:[ ](?:{_LINK}[ ]){{0,2}}(?:\p{{L}}{{1,2}}[.'’][ ]?)?{_WORD}){{0,3}}+"
    r"(?:[ ]\p{Ll}{4,9}+(?<=[ ](?:republika|mesto|město|polje|gradec))|[ ]\(\p{Lu}\p{L}{2,20}\))?"
)
_TOWN_AFTER = rf"(?:d[aeo]s?[ ]|['’]s[ ]?)?{_TOWN}"
_CHAIN = (
    rf"(?:(?:{_SHORT}[ ]|[dl]['’]|dell['’]){{0,3}}(?:{_WORD}\.?|\d{{1,3}}(?:er|º|°|ª|\.)?))"
    rf"(?:[ ](?:{_SHORT}[ ]|[dl]['’]|dell['’]){{0,3}}(?:{_WORD}\.?|\d{{4}}(?=,?[ ]\d))){{0,4}}"
)
_INNER = r"(?:de|la|las|los|del|della|di|da|do|dos|das|du|des|der|den|dem|von|van|y|e|the|of)"
_NAME = (
    rf"{_WORD}\.?(?:[ ](?:{_INNER}[ ]|[dl]['’]){{0,2}}{_WORD}\.?){{0,4}}+"
    rf"(?:[ ]\p{{Ll}}{{1,20}}\.?(?=[ ]\d))?"
)
_NUMBER = (
    r"\d{1,5}(?:[ ]?[A-Za-z](?![\p{L}\d'’]|[.:][ ]?\d))?"
    r"(?:[ ]?[-/+][ ]?\d{1,5}(?:[A-Za-z](?![\p{L}\d]))?){0,3}(?![\d\p{L}]|[.,]\d)"
)
_LETTERED = r"[A-Z]{1,2}\d[A-Z\d]?[ -]?(?:\d[A-Z]{2}|\d[A-Z]\d|[A-Z\d]{4})"
_POSTAL = (
    rf"(?:{_LETTERED}|[1-9]\d{{3}}[ ]?[A-Z]{{2}}|\d{{3}}[ ]\d{{2,3}}|"
    rf"\d{{2}}-\d{{3}}|"
    r"(?:[A-Z]{1,3}-)?\d{4,6}(?:-\d{3,4})?|\d{3}-\d{4}|〒[ ]?\d{3}-?\d{4}|\d{8})(?![\p{L}\d]|"
    r"[-.,]\d)"
)
_GAP = r"(?:[\s,;/|>-]{0,8}|,?\\n)"
_JOIN = r"(?:[\s,;/|>-]{1,8}|,?\\n)"
_BREAK = r"(?:[ \t]{0,2}[,;/|\r\n][\s,;>-]{0,6}|[ ]-[ ]|,?\\n)"
_FLATS = (
    "apt|apartment|suite|ste|flat|unit|apto|depto|dpto|piso|appartement|appartamento|interior|"
    "interno|int|lgh|daire|whg|wohnung|room|local|edif|oficina|bloco|bl|byt"
).split("|")
_ROOMS = (
    "floor|fl|rm|bldg|building|block|level|lot|box|rd|casa|bodega|planta|puerta|escalera|esc|"
    "edificio|"
    "bloque|sala|andar|scala|app|appt|étage|etage|etaj|et|bât|bus|bte|boîte|lok|m|kv|tür|top|"
    "stiege|"
    "stock|sc|ap|kat|blok|no|nr|d"
).split("|")
_STOREYS = (
    "stock og etage étage etasje sal tv th mf kerros andar planta piso izq dcha dto esq"
).split()
_UNIT = (
    rf"(?:{one_of(_FLATS + _ROOMS)}[.:]?[ ]?(?:[#º]|no\.?[ ])?[ ]?"
    r"(?:\d{1,5}(?:[A-Za-z](?!\p{L}))?(?:[-/]\d{1,4})?|[A-Z](?:\d{1,4}|-\d{1,4})?)(?![\p{L}\d])|"
    r"[#№][ ]?\d{1,5}[A-Z]?(?![\p{L}\d])|"
    r"\d{1,2}(?:st|nd|rd|th)[ ][Ff]loor|"
    rf"\d{{1,2}}(?:\.?[oº]|\.|er|e|ème|[aª]|°)?[ ]?{one_of(_STOREYS)}(?!\p{{L}})\.?|"
    r"\d{1,2}(?:[°.]o?|[oa])[ ]?[A-Z]?(?![\p{L}\d]))"
)
_ENDING = (
    r"(?=[ \t]{0,2}(?:[,.;!?)\]}\"'»”<|/]|\r?\n|\\n|$)|[ ]?\([A-Z]{2}\)|[ ]\p{Ll}{1,8}(?!\p{L}))"
)
_PARTS = (
    rf"(?:{_JOIN}(?:{_POSTAL}(?:{_GAP}{_TOWN_AFTER}(?:[ ]\d{{1,2}}(?![\w:-]|[.,]\d))?(?=[^\w:]|"
    rf"$))?|"
    rf"{_UNIT}|{_TOWN}(?:[ ]?[,.-]?[ ]?(?<=[\s,.-]){_POSTAL}|(?:[ ]\d{{1,2}})?{_ENDING}))|"
    r"[ ]?\([A-Z]{2}\)|[ ]/[ ][A-Z]{2}\b){0,6}+"
)
_END = r"(?![\p{L}\d])"
_START = r"(?<![\p{L}\p{M}\d_.,:/$€£%+=-])"
_DOORS = "level shop lot block plot house h.no hno h no door floor".split()
_HOUSE = (
    rf"(?:(?:{one_of('house plot door flat shop h no'.split())}\.?[ ]?(?:[Nn]o\.?[ ]?)?|"
    rf"#[ ]?))?"
    rf"{_NUMBER}"
)
_AHEAD = r"(?<![\p{L}\p{M}\d_'’])(?:(?<![.,:/$€£%+=-])\d{1,6},?[ ])?"
_BEFORE = (
    rf"(?:{one_of(_FLATS + _DOORS, dotted=True)}\.?[ ]?(?:[Nn]o\.?[ ])?[#-]?\d{{1,5}}[A-Za-z]?"
    rf"(?:[-/]\d{{1,4}}){{0,2}}{_JOIN})?"
)
_ENGLISH = (
    "street avenue road lane drive boulevard blvd terrace square crescent parkway pkwy highway hwy "
    "avenues expressway freeway esplanade mews"
)
_ENGLISH_SHORT = "st ave av rd ln dr ct pl sq cres cir ter tce pde"
_ENGLISH_WEAK = (
    "alley annex arcade bayou beach bend bluff bluffs bottom branch bridge brook brooks broadway "
    "burg burgs bypass camp canyon cape causeway center centers centre chase circle circles "
    "circuit "
    "cliff cliffs close club common commons corner corners course court courts cove coves creek "
    "crossing crossroad curve dale dam divide drives estate estates extension extensions fall "
    "falls "
    "ferry field fields flat flats ford fords forest forge forges fork forks fort garden gardens "
    "gdns "
    "gateway glen glens green greens grove groves harbor harbors haven heights hill hills hollow "
    "inlet island islands isle junction junctions key keys knoll knolls lake lakes land landing "
    "light lights loaf lock locks lodge loop mall manor manors meadow meadows mill mills mission "
    "motorway mount mountain mountains neck nagar chowk marg orchard oval overpass parade park "
    "parks "
    "pass passage path pike pine pines place plain plains plaza point points port ports prairie "
    "quay radial ramp ranch rapid rapids rest ridge ridges rise river roads route row rue run "
    "shoal "
    "shoals shore shores skyway spring springs spur spurs square squares station stravenue stream "
    "streets summit throughway trace track trafficway trail trailer tunnel turnpike underpass "
    "union "
    "unions valley valleys via viaduct view views village villages ville vista walk walks wall way "
    "ways well wells wharf yard laneway colony"
)
_FRENCH = (
    "rue|avenue|av|boulevard|bd|bld|place|impasse|chemin|allée|allee|quai|cours|route|passage|"
    "sentier|ruelle|voie|faubourg|résidence|lotissement|hameau|esplanade|montée|rond-point|villa|"
    "rang|"
    "square|cité|côte|promenade|venelle|lieu-dit"
)
_FRENCH_WORDS = (
    "rue avenue av boulevard bd bld place impasse chemin allée allee quai cours route passage "
    "sentier ruelle voie faubourg résidence lotissement hameau esplanade montée rond villa rang "
    "square "
    "cité côte promenade venelle lieu"
)
_KINDS = (
    "avenue|boulevard|plac|viale|"
    "alameda|aleea|aleja|aleje|allée|ampliación|andador|avd|avda|avenida|b-dul|bd|"
    "beco|borgo|bulevardul|c/|calea|calle|callejon|callejón|calzada|calçada|camino|"
    "carrera|carretera|cañada|cerrada|chemin|chácara|circuito|circunvalación|colônia|"
    "condomínio|contrada|corso|ctra|cuesta|drumul|eje vial|esplanada|estrada|glorieta|"
    "impasse|incrocio|intrarea|jardim|ladeira|leoforos|località|loteamento|lungomare|"
    "lungotevere|nábřeží|nám|námestie|náměstí|núcleo|odos|osiedle|pasadizo|pasaje|"
    "paseo|passarela|peatonal|periférico|piata|piazza|piazzale|piața|plateia|plaza|"
    "praça|prilaz|privada|prolongación|pza|pátio|rambla|recanto|residencial|rodovia|"
    "ronda|rondo|rotonda|rua|rue|salita|skwer|soseaua|splaiul|stretto|sítio|"
    "transversal|travessa|travesía|trecho|trg|tř|třída|ul|ulica|ulice|urbanización|"
    "vereda|vial|vicolo|viela|șos|șoseaua"
)
_SPELT_KINDS = set(_KINDS.split("|")) - {"c/", "eje vial"}
_CAPITAL_KINDS = (
    "Acceso|Aeroporto|Al|Av|Avenue|Boulevard|Campo|Canale|Conjunto|Continuación|"
    "Corredor|Cr|Cra|Diagonal|Distrito|Esplanade|Estação|Favela|Fazenda|Feira|Lago|"
    "Lagoa|Largo|Morro|Parc|Parque|Pl|Plac|Put|Quadra|Quai|Retorno|Setor|Str|"
    "Strada|Vale|Via|Viaducto|Viaduto|Viale|Vila|Área"
)
_COMPOUND = (
    "straße|strasse|str\\.|weg|platz|allee|gasse|ring|ufer|damm|steig|chaussee|wall|markt|graben|"
    "stieg|pfad|twiete|hof|zeile|steg|kamp|straat|laan|plein|gracht|kade|singel|dijk|dreef|pad|"
    "steeg|boulevard|baan|lei|hofje|gatan|gata|vägen|gränd|torg|torget|stigen|backen|vången|"
    "allén|leden|veien|vegen|gaten|gate|plass|vei|bakken|haugen|svingen|lia|vej|gade|allé|stræde|"
    "plads|vænget|parken|toften|bakke|katu|tie|kuja|polku|väylä|ranta|aukio|bulevardi|raitti|"
    "kaari|rinne|penger|tori"
)
_AFTER_NAME = (
    "utca|út|útja|tér|tere|körút|köz|krt|rakpart|fasor|sétány|dűlő|sugárút|lépcső|"
    "cesta|ulica|trg|put|nabrežje|prolaz|avenija|tänav|tee|puiestee|maantee|mnt|pst|bulevardi|iela|"
    "gatve|"
    "prospekts|bulvāris|laukums|gatvė|prospektas|alėja|plentas|aikštė|caddesi|cadde|cad|"
    "sokak|sokağı|sok|bulvarı|blv|mahallesi|mah|ulice|náměstí|třída|nábřeží|námestie|weg|"
    "straße|strasse|straat|laan|plein|väg|gata|gate|vei|vej|allé|plads|plats|platz|allee|"
    "ufer|damm|chaussee|katu|prečac|odvojak|rampa|"
    "daero"
)
_MARK = (
    r"(?:(?:n|N|nr|Nr|no|No|num|núm|č|br|No:)(?:[.:º°]|º\.)?[ ]?|#[ ]?|n\.[oº][ ]|n[oº][ ]?|№[ ]?)?"
)

_OTHER_NOUNS = frozenset(
    (
        "january february march april may june july august september october november december "
        "jan feb mar apr jun jul aug sep sept oct nov dec januar februar märz mai juni juli "
        "oktober "
        "dezember janvier février mars avril juin juillet août septembre octobre novembre décembre "
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre "
        "monday tuesday wednesday thursday friday saturday sunday montag dienstag mittwoch "
        "donnerstag freitag samstag sonntag chapter section figure table version python page "
        "article appendix part step level room unit volume windows release iso rfc pep no nr line "
        "example note phase issue ticket order invoice id a q1 q2 q3 q4 copyright rfcs item "
        "test user port error code http https tel phone fax since until in from type class"
    ).split()
)


def _kinds(row: str) -> str:
    """Words of a kind as a title or in capitals, longest first."""
    return one_of(
        {form for word in row.split() for form in (word.title(), word.upper())}, any_case=False
    )


def _is_place(value: str) -> bool | None:
    words = [word.strip(".:;,").lower() for word in value.split()[:2]]
    if words[0] in _BEFORE_NUMBERS:
        return None
    return False if not _OTHER_NOUNS.isdisjoint(words) else None


def _is_lower_street(value: str) -> bool | None:
    return False if not _OTHER_WORDS.isdisjoint(value.split()[1:4]) else None


_OTHER_WORDS = frozenset(
    "of the in per a an to for and or is are on at my your his her every each with by from".split()
)
_BEFORE_NUMBERS = frozenset(
    "unit room level flat suite no house apt apartment plot h.no h door shop floor".split()
)


def _rule(
    name: str,
    pattern: str,
    *,
    words: str = "",
    requires: tuple[str, ...] = (),
    entity: str = "STREET_ADDRESS",
    score: float = 0.75,
    scope: Scope = Scope.ADDRESS,
    validate: Validator | None = None,
    context: tuple[str, ...] = (),
    group: int = 0,
) -> Rule:
    return Rule(
        entity=entity,
        name=name,
        pattern=pattern,
        score=score,
        words=frozenset(words.split()),
        requires=requires,
        scope=scope,
        validate=validate,
        context=context,
        group=group,
    )


_NO_START = r"(?!(?:In|At|From|To|Near|Postcode|Address|My|Our|The[ ]postcode|Is|And|For)\b)"
_AREAS = (
    "AB|AL|B|BA|BB|BD|BH|BL|BN|BR|BS|BT|CA|CB|CF|CH|CM|CO|CR|CT|CV|CW|DA|DD|DE|DG|DH|DL|DN|DT|DY|E|"
    "EC|"
    "EH|EN|EX|FK|FY|G|GL|GU|GY|HA|HD|HG|HP|HR|HS|HU|HX|IG|IM|IP|IV|JE|KA|KT|KW|KY|L|LA|LD|LE|LL|LN|"
    "LS|"
    "LU|M|ME|MK|ML|N|NE|NG|NN|NP|NR|NW|OL|OX|PA|PE|PH|PL|PO|PR|RG|RH|RM|S|SA|SE|SG|SK|SL|SM|SN|SO|"
    "SP|"
    "SR|SS|ST|SW|SY|TA|TD|TF|TN|TQ|TR|TS|TW|UB|W|WA|WC|WD|WF|WN|WR|WS|WV|YO|ZE"
)
_UK_AREA = rf"(?:{_AREAS})\d[A-Z\d]?[ ]\d[ABD-HJLNP-UW-Z]{{2}}"
_CANADIAN_SPACED = r"[ABCEGHJ-NPRSTVXY]\d[ABCEGHJ-NPRSTV-Z][ ]\d[ABCEGHJ-NPRSTV-Z]\d"
_EIRCODE_SPACED = r"[AC-FHKNPRTV-Y]\d[\dW][ ][AC-FHKNPRTV-Y\d]{4}"
_COUNTRY = r"(?:,?[ ](?:USA|U\.S\.A\.|US|United[ ]States(?:[ ]of[ ]America)?))?"
_POSTAL_LABELS = (
    r"zip(?:[ _-]?code)?|post(?:al)?[ _-]?code|plz|postleitzahl|code[ ]postal|codice[ ]postale|"
    r"c\.?a\.?p\.?|cep|código[ ]postal|codigo[ ]postal|c\.p\.|kod[ ]pocztowy|psč|irányítószám|"
    r"postnummer|"
    r"postnr\.?|postinumero|pin[ ]?code|eircode|poštanski[ ]broj|poštna[ ]številka|cod[ ]poștal|"
    r"posta[ ]kodu|sihtnumber|pašto[ ]kodas|pasta[ ]indekss|郵便番号|邮编|우편번호"
)
_POSTAL_LABELS_WORDS = (
    "zip zipcode postcode postal plz postleitzahl postale cap c cep pocztowy psč irányítószám "
    "postnummer postnr postinumero pin pincode eircode poštanski poštna poștal posta sihtnumber "
    "pašto pasta 郵便番号 邮编 우편번호"
)
_LOWER_TOWN = (
    r"(?:,?[ ](?:d-|a-)?\d{4,5}[ ][\p{Ll}-]{3,20}|"
    r",[ ](?:[\p{Ll}'’.-]{3,16}[ ]?){1,3}(?:,?[ ]?[a-z]{2})?,?[ ]\d{5}(?:-\d{4})?|"
    r"[ ,]{1,2}(?:[\p{Ll}'’-]{3,16},?[ ]){1,3}[a-z]{1,2}\d[a-z\d]?[ ]?\d[a-z]{2}|"
    r",[ ][\p{Ll}-]{3,20}(?=[.,\n]|$))?"
)
_STREET_WORDS = rf"(?:(?:{_WORD}\.?|\d{{1,3}}(?:st|nd|rd|th)|of|the|and|de|la|du|del)[ ])"
_STRONG_TAIL = (
    rf"(?:{_JOIN}{one_of(_FLATS)}\.?[ ]?(?:[#]|no\.?[ ])?\d{{1,5}}[A-Za-z]?(?![\p{{L}}\d])|"
    rf"{_BREAK}(?:{_TOWN}(?:[ ]?,?[ ]|-|{_BREAK})){{1,3}}{_POSTAL}"
    rf"(?:[ ]{_TOWN_AFTER}(?=[^\w:]|$))?|"
    rf"{_JOIN}{_POSTAL}{_GAP}(?<=[\s,]){_TOWN_AFTER}(?=[^\w:]|$))"
)
_REST = (
    rf"\.?[ ]{{0,1}}(?<=[ ./]){_CHAIN}(?:,?[ ][sS]/[nN]|{_STRONG_TAIL}|,?[ ]{_MARK}{_NUMBER}"
    rf"(?:[ ]\d{{1,4}}(?=[,\n]))?){_PARTS}{_END}"
)


def place_rules() -> list[Rule]:
    """Gives the rules for addresses and for what stands alone of them."""
    return [
        _rule(
            "address-number-name-kind",
            rf"{_START}{_BEFORE}{_HOUSE},?[ ](?=[\p{{Lu}}\d])(?:{_STREET_WORDS}{{1,4}}"
            rf"(?:{one_of(_ENGLISH.split() + _ENGLISH_SHORT.split())}\b\.?|"
            rf"{_kinds(_ENGLISH_WEAK)}\b))"
            r"(?:[ ](?:N|S|E|W|NE|NW|SE|SW|North|South|East|West|Upper|Lower)\b\.?)?"
            rf"{_PARTS}{_END}",
            words=f"{_ENGLISH} {_ENGLISH_SHORT} {_ENGLISH_WEAK}",
            validate=_is_place,
            scope=Scope.HOUSE_FIRST,
        ),
        _rule(
            "address-number-kind-name",
            rf"{_START}{_NUMBER}(?:[ ]?(?:bis|ter|quater))?,?[ ]"
            rf"{one_of(_FRENCH.split('|'), dotted=True)}\.?[ ]{_CHAIN}{_PARTS}{_END}",
            words=_FRENCH_WORDS,
        ),
        _rule(
            "address-kind-name-number",
            rf"{_AHEAD}(?:[cC]/|{one_of(_SPELT_KINDS, dotted=True)}|"
            rf"{one_of(_CAPITAL_KINDS.split('|'), any_case=False)}|(?:al|pl|os|str|av|cra)(?=\.))"
            rf"{_REST}",
            words=f"{_KINDS}|{_CAPITAL_KINDS.lower()}".replace("|", " "),
            requires=("c/",),
            scope=Scope.HOUSE_LAST,
        ),
        _rule(
            "address-compound-number",
            rf"{_AHEAD}(?:{_WORD}[ ]){{0,2}}\p{{Lu}}[\p{{L}}\p{{M}}.'’-]{{2,38}}+"
            rf"(?=[ ]{_MARK}\d)(?<=[\p{{L}}\p{{M}}.'’-]{{2}}(?i:{_COMPOUND}))[ ]{_MARK}{_NUMBER}"
            rf"{_PARTS}{_END}",
            requires=tuple(_COMPOUND.replace("\\", "").split("|")),
            validate=_is_place,
            scope=Scope.HOUSE_LAST,
        ),
        _rule(
            "address-name-kind-number",
            rf"{_AHEAD}(?:(?:[A-Z]{{1,2}}-)?\d{{4,5}}[ ]{_TOWN}(?:,?[ ]|\n))?"
            rf"(?:{_WORD}\.?[ -]){{1,4}}{one_of(_AFTER_NAME.split('|'))}\.?(?:[ ]"
            rf"{_WORD})?,?[ ]{_MARK}{_NUMBER}(?:\.(?=,?\s))?{_PARTS}{_END}",
            words=_AFTER_NAME.replace("|", " "),
            validate=_is_place,
            scope=Scope.HOUSE_LAST,
        ),
        _rule(
            "address-number-name",
            rf"{_START}{_BEFORE}{_HOUSE}{_JOIN}(?=[\p{{Lu}}\d]){_STREET_WORDS}{{0,4}}{_WORD}\.?"
            rf"(?:[ ]{_NUMBER})?"
            rf"{_STRONG_TAIL}{_PARTS}{_END}",
            validate=_is_place,
            scope=Scope.HOUSE_FIRST,
        ),
        _rule(
            "address-name-number",
            rf"{_AHEAD}{_NAME},?[ ]{_MARK}{_NUMBER}(?:{_JOIN}{_UNIT})?{_STRONG_TAIL}{_PARTS}{_END}",
            validate=_is_place,
            scope=Scope.HOUSE_LAST,
        ),
        _rule(
            "address-name-postal",
            rf"(?<![\p{{L}}\p{{M}}\d_'’]){_BEFORE}{_NO_START}{_NAME}(?:{_BREAK}{_TOWN}){{0,3}}"
            rf"(?:[ ]?,?[ ]|-|{_BREAK})(?:{_UK_AREA}|{_CANADIAN_SPACED}|{_EIRCODE_SPACED}){_END}"
            rf"(?:{_BREAK}{_TOWN}{_ENDING})?{_END}",
            validate=_is_place,
            scope=Scope.POSTCODE,
        ),
        _rule(
            "address-box",
            rf"(?<![\p{{L}}\p{{M}}\d_])(?:(?i:p\.?[ ]?o\.?[ ]?box|post(?:al)?[ ](?:office[ ])?box|"
            rf"gpo[ ]box|"
            r"private[ ]bag|postfach|postbus|boîte[ ]postale|casella[ ]postale|"
            r"apartado(?:[ ]de[ ]correos)?|"
            r"caixa[ ]postal|skrytka[ ]pocztowa|postboks|postboxi?|"
            r"box(?=[ ]\d{2,6},[ ]\d{3}[ ]\d{2}))|"
            r"(?:C\.?P\.?|B\.?P\.?|PL)(?=[ ]\d{1,5},?\s{1,2}(?:[A-Z]-)?\d{4,5}[ ]\p{Lu}))"
            rf"[ ]?(?:[Nn]o\.?[ ]?|[Nn]r\.?[ ]?|#)?\d{{1,3}}[ ]?\d{{0,5}}(?!\d){_PARTS}{_END}",
            words="box bag postfach postbus postale postal apartado pocztowa postboks postbox po "
            "cp c bp b pl p",
        ),
        _rule(
            "address-military",
            rf"(?<![\p{{L}}\d_])(?:(?:Unit|PSC|CMR)[ ]\d{{1,5}},?[ ]Box[ ]\d{{1,5}}|(?:USS|USNS|"
            rf"USCGC|USNV)[ ]{_TOWN})"
            rf"{_JOIN}(?:APO|FPO|DPO),?[ ](?:AA|AE|AP)[ ]\d{{5}}(?:-\d{{4}})?{_END}",
            words="apo fpo dpo",
        ),
        _rule(
            "address-lower-case",
            r"(?<![\w.,:/$€£%+=-])\d{1,5}[a-z]?[ ](?:\d{1,5}[ ])?(?:[\p{Ll}'’]{2,16}[ ]){0,3}"
            r"(?:(?<=\p{Ll}[ ])(?:street|avenue|road|lane|boulevard|blvd|drive|terrace|crescent|"
            r"ave|rd|ln|st)(?![\p{L}\d])\.?"
            r"(?:,?[ ](?:apt|unit|suite|flat)[ .#]{0,2}\d{1,5}[a-z]?(?![\p{L}\d]))?|"
            r"[\p{Ll}'’]{2,16}(?:[ ]\d{1,5})?,?\s{1,5}(?:apt|suite)\.?[ ]\d{1,5}[a-z]?"
            r"(?![\p{L}\d]))"
            rf"{_LOWER_TOWN}{_END}",
            words="street avenue road lane boulevard blvd drive terrace crescent ave rd ln st apt "
            "suite",
            validate=_is_lower_street,
            scope=Scope.DIGITS,
        ),
        _rule(
            "address-lower-case-compound",
            r"(?<![\p{L}\p{M}\d_/.-])[\p{Ll}.-]{6,30}+(?=[ ]\d)"
            r"(?<=\p{Ll}{3}(?:straße|strasse|str\.|straat|laan|gasse|allee|gatan|vägen|veien|gade|"
            r"katu))"
            r"[ ]\d{1,4}[a-z]?(?![\p{L}\d])"
            rf"{_LOWER_TOWN}{_END}",
            requires=(
                "straße",
                "strasse",
                "str.",
                "straat",
                "laan",
                "gasse",
                "allee",
                "gatan",
                "vägen",
                "veien",
                "gade",
                "katu",
            ),
            scope=Scope.HOUSE_LAST,
        ),
        _rule(
            "address-lower-case-kind",
            r"(?<![\p{L}\p{M}\d_/.-])(?:\d{1,4},?[ ](?:rue|avenue|boulevard|chemin|impasse|"
            r"allée)[ ](?:[\p{Ll}'’]{2,16}[ ,]{1,2}){1,4}\d{5}|"
            r"(?:calle|avenida|rua|ulica|ul\.|piazza|viale|paseo|travessa)"
            r"[ ](?:[\p{Ll}'’]{2,16},?[ ]){1,4}(?:n[º.]?[ ]?)?\d{1,4}[a-z]?)(?![\p{L}\d])"
            rf"(?:[ ](?:[\p{{Ll}}'’-]{{3,16}})(?=[,.\n]|$))?{_LOWER_TOWN}{_END}",
            words="rue avenue boulevard chemin impasse allée calle avenida rua ulica ul piazza "
            "viale paseo travessa",
        ),
        _rule(
            "address-japanese",
            r"(?:〒[ ]?\d{3}-?\d{4}[ \n]{0,2})?(?:東京都|北海道|(?:京都|大阪)府|"
            r"[\p{Han}]{2,3}県)[ ]?"
            r"[\p{Han}\p{Hiragana}\p{Katakana}ー]{1,30}?[ ]?\d{1,4}(?:(?:丁目|番地?|号|-|の|"
            r"ー)[ ]?\d{0,4}){0,4}(?:丁目|番地?|号)?"
            r"(?:[ ]?[\p{Han}\p{Katakana}\p{Hiragana}A-Zー]{2,20}(?:[ ]?\d{1,4}(?:号室)?)(?!\d))?",
            requires=("東京都", "北海道", "京都府", "大阪府", "県"),
        ),
        _rule(
            "address-chinese",
            r"(?:(?:中国)?\p{Han}{2,8}?(?:省|自治区|市|行政区))(?:\p{Han}{1,10}?(?:市|区|县|州|盟|"
            r"旗)){1,3}\p{Han}{1,16}?"
            r"(?:路|街|道|巷|弄|村|镇|胡同)\p{Han}{0,6}?[A-Za-z\d]{1,6}(?:(?:号|弄|栋|幢|座|单元|楼|层|室|院|"
            r"-)[ ]?[A-Za-z\d]{0,6}){0,5}"
            r"(?:[ ,]{1,2}\d{6}(?!\d))?",
            requires=("省", "自治区", "市"),
        ),
        _rule(
            "address-korean",
            r"(?:\(?\d{5}\)?[ ])?(?<![\p{Hangul}])\p{Hangul}{1,8}(?:시|도)[ ]"
            r"(?:\p{Hangul}{1,6}(?:시|군|구)[ ]){1,2}(?:\p{Hangul}{1,5}(?:읍|면)[ ])?"
            r"\p{Hangul}{1,12}\d{0,4}\p{Hangul}{0,3}(?:로|길|가|동|리|읍|면)[ ]?"
            r"\d{1,5}(?:-\d{1,4})?"
            r"(?:번지)?"
            r"(?:,?[ ]\d{1,4}동)?(?:,?[ ]\d{1,4}호)?(?:[ ]?\(\p{Hangul}{1,10}"
            r"(?:,[ ]?\p{Hangul}{1,12})?\))?(?:,?[ \n]\d{5}(?!\d))?",
            requires=("시 ", "도 "),
        ),
        _rule(
            "town-region-postal",
            rf"(?<![\p{{L}}\p{{M}}\d_]){_TOWN},[ ][A-Z]{{2}},?[ ]\d{{5}}(?:-\d{{4}})?"
            rf"(?![\d\p{{L}}-]){_COUNTRY}{_END}",
            entity="LOCATION",
            score=0.6,
            validate=_is_place,
            scope=Scope.REGION_CODE,
        ),
        *_postcodes(),
    ]


def _postcodes() -> list[Rule]:
    """Postal codes that stand alone: a form that nothing else has, or a word that says so."""
    return [
        _rule(
            "postcode-after-label",
            rf"(?<![\p{{L}}\p{{M}}\d])(?i:{_POSTAL_LABELS})[\"']?(?:[ ]?[:=#|][ ]?|[ ](?:is[ ]|"
            rf"ist[ ]|est[ ]|es[ ]|è[ ]|é[ ])?|\n)[\"'\n]?"
            r"((?i:[a-z]{1,2}\d[a-z\d]?[ ]?\d[a-z]{2}|[a-z]\d[a-z][ -]?\d[a-z]\d|"
            r"[a-z]\d[\dw][ ]?[a-z\d]{4}|\d{4}[ ]?[a-z]{2}|"
            r"\d{3}[ ]\d{2,3}|\d{2}-\d{3}|(?:[a-z]{1,3}-)?\d{4,6}(?:-\d{3,4})?|\d{3}-\d{4}|"
            r"\d{8}))(?![\p{L}\d])",
            words=_POSTAL_LABELS_WORDS,
            entity="ZIP_CODE",
            score=0.4,
            group=1,
        ),
        _rule(
            "postcode-us-nine",
            r"(?<![\w.,/-])\d{5}-\d{4}(?![\w-]|[.,]\d)",
            entity="ZIP_CODE",
            score=0.4,
            scope=Scope.FOUR_DIGITS,
        ),
        _rule(
            "postcode-uk",
            rf"(?<![\w-]){_UK_AREA}(?![\w-])",
            entity="UK_POSTCODE",
            score=0.5,
            scope=Scope.POSTCODE,
        ),
        _rule(
            "postcode-canadian",
            rf"(?<![\w-]){_CANADIAN_SPACED}(?![\w-])",
            entity="CA_POSTAL_CODE",
            score=0.5,
            scope=Scope.POSTCODE,
        ),
        _rule(
            "postcode-town",
            r"(?<![\w.,/-])(?:[1-9]\d{3}[ ](?!S[ADS]|AM|PM|KB|MB|GB|TB|PX|EU|US|UK|AD|BC|CE|HP|"
            r"CC|KM|KG|MM|CM|ML|MG|HZ)[A-Z]{2}|[1-9]\d{3}-\d{3}|\d{2}-\d{3}|"
            r"[A-Z]{1,2}-\d{4,5})"
            r"(?=,?[ ]\p{Lu}\p{Ll})",
            entity="ZIP_CODE",
            score=0.5,
            scope=Scope.HOUSE_FIRST,
        ),
    ]
